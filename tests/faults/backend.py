"""The loader inside the nodes. It knows every key, and writes down each load in a file of its process, when it begins and when it ends: loads are
counted outside the cache, by nobody who could be wrong together with it.

A key says how it is loaded: ``slow.1.5/...`` takes so many seconds, ``block.1.5/...`` holds up the whole loop for so long.
"""

from __future__ import annotations

import asyncio
import math
import os
import time
from pathlib import Path
from typing import Final

from faults.marks import Marker
from faults.record import Load

FOLDER: Final = "FAULTS_FOLDER"
NODE: Final = "FAULTS_NODE"
_USUAL_S: Final = 0.003
_VALUE_BYTES: Final = 128

_marker = Marker(None)
_log = -1


async def load(keys: list[str]) -> dict[str, bytes]:
    versions = {key: _marker.next_version() for key in keys}
    _write("began", versions)
    try:
        for key in keys:
            if key.startswith("block."):
                time.sleep(_seconds(key))  # noqa: ASYNC251 - this is the fault
        await asyncio.sleep(max(_seconds(key) if key.startswith("slow.") else _USUAL_S for key in keys))
        return {key: _marker.value(key, version, _VALUE_BYTES) for key, version in versions.items()}
    finally:
        _write("ended", versions)


def _seconds(key: str) -> float:
    return float(key.split("/")[0].partition(".")[2])


def _write(what: str, versions: dict[str, int]) -> None:
    global _log
    if _log < 0:
        path = Path(os.environ[FOLDER]) / f"loads-{os.environ[NODE]}-{os.getpid()}"
        _log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    now_s = time.monotonic()
    os.write(_log, "".join(f"{what} {version} {now_s:.6f} {key}\n" for key, version in versions.items()).encode())


def read_loads(folder: Path) -> list[Load]:
    """All that was loaded by nodes that ever ran in this folder."""
    loads: dict[int, Load] = {}
    for log in folder.glob("loads-*"):
        _, node, pid = log.name.split("-")
        # The last line of a node that was killed may lack its end.
        for line in log.read_text().rpartition("\n")[0].splitlines():
            what, version, at_s, key = line.split(" ", 3)
            if what == "began":
                loads[int(version)] = Load(node, int(pid), key, float(at_s), math.inf, int(version))
            else:
                loads[int(version)] = loads[int(version)]._replace(ended_s=float(at_s))
    return sorted(loads.values(), key=lambda load: load.began_s)
