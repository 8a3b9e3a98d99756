"""The members last seen, on disk: what a node starts from when the membership service is away.

The file is a convenience and never an authority: when it cannot be read it counts as empty, when it cannot be written
that is logged once until it works again, and neither ever stops a node. It is replaced as a whole, so that a reader
(or a crash of this process) never meets half a file; it is not synced to the disk, since after a crash of the machine
an older list or none is just as good.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from pathlib import Path

from zmcache.discovery import record
from zmcache.discovery.base import Snapshot

_log = logging.getLogger("zmcache.discovery")


class LastSeen:
    """Keeps the last snapshot of a cluster in one file. Blocks on the disk: keep it off the event loop."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._failing = False

    def load(self, cluster: str) -> Snapshot | None:
        """What was saved for ``cluster``; None if there is nothing, or nothing that can be read, or nobody in it."""
        try:
            found = json.loads(self._path.read_bytes())
            if not isinstance(found, dict) or not isinstance(found.get("members"), list):
                raise record.BadRecord("not a list of members")
            if found.get("cluster") != cluster:
                return None
            revision = found.get("revision")
            if not isinstance(revision, int) or revision < 0:
                raise record.BadRecord("revision must be a whole number")
            members = tuple(
                record.parse(entry.get("node_id") if isinstance(entry, dict) else None, entry)
                for entry in found["members"]
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as exc:
            _log.warning("the members last seen cannot be read from %s: %s", self._path, exc)
            return None
        return Snapshot(revision, members) if members else None

    def save(self, cluster: str, snapshot: Snapshot) -> None:
        """Replace what is saved. Never raises for the disk's sake."""
        text = json.dumps(
            {
                "cluster": cluster,
                "revision": snapshot.revision,
                "members": [{"node_id": member.node_id, **record.fields(member)} for member in snapshot.members],
            },
            ensure_ascii=False,
            indent=1,
        )
        # Two nodes that were given the same file must not write into each other's half-written one.
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}.{id(self):x}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="utf-8")
            partial.replace(self._path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                partial.unlink()
            if not self._failing:
                _log.warning("the members last seen cannot be written to %s: %s", self._path, exc)
            self._failing = True
        else:
            self._failing = False
