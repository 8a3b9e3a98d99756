"""Connections that want to hear what becomes of keys: those that keep copies of what this node owns, and those that watch.

What is to be told is collected for a turn of the loop, the latest of each key, and goes out as one NEWS a group, numbered by connection. Whoever
finds a number missing, or another incarnation, believes nothing any more: so a message that is lost costs copies, and never a wrong answer.

Nothing here grows with what others do not read. A connection says by FOLLOWING how much it has seen; while too much is unseen, changes
wait here, one a key, however often it changes, and who watches is told how many values were skipped. Who is silent for `SILENT_S` is forgotten; who
left news unread for so long is told why when it speaks again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.core.wire import FOREVER, GONE_FLAG, NONE_FLAG, OLD_FLAG
from zmcache.errors import Busy
from zmcache.group import LocalGroup

SILENT_S: Final = 10.0
_SWEEP_S: Final = 1.0
_FOLLOWERS_MOST: Final = 10_000
_KEPT_MOST: Final = 100_000  # keys, by one connection
_UNSEEN_MOST: Final = 512  # messages
_UNSEEN_BYTES_MOST: Final = 4 * 1024 * 1024
_PART_BYTES: Final = 512 * 1024
_CUT_MOST: Final = 1000

_log = logging.getLogger("zmcache.node")


class Follower:
    """One connection. See `zmcache.core.audience.Hearer`."""

    def __init__(self, peer: bytes, now_s: float, due: Callable[[Follower], None]) -> None:
        self.peer = peer
        self.heard_s = now_s
        self.number = 0
        """Of the last message that it was sent."""
        self.unseen: deque[tuple[int, int]] = deque()  # number and bytes
        self.unseen_bytes = 0
        self.kept: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.watched: dict[str, dict[str, None]] = {}
        self.values: dict[tuple[str, str], int] = {}
        """To be told, and how many values came and went before."""
        self.old: dict[tuple[str, str], None] = {}
        self.all_old: dict[str, None] = {}
        self._due = due

    def on_value(self, group: str, key: str) -> None:
        """See `Hearer`."""
        what = group, key
        self.values[what] = self.values.get(what, -1) + 1
        self._due(self)

    def on_old(self, group: str, key: str) -> None:
        """See `Hearer`."""
        self.kept.pop((group, key), None)
        self.old[group, key] = None
        self._due(self)

    def on_all_old(self, group: str) -> None:
        """See `Hearer`."""
        for what in [what for what in self.kept if what[0] == group]:
            del self.kept[what]
        self.all_old[group] = None
        self._due(self)

    def see(self, number: int, now_s: float) -> None:
        """It has seen so many."""
        self.heard_s = now_s
        while self.unseen and self.unseen[0][0] <= number:
            self.unseen_bytes -= self.unseen.popleft()[1]

    @property
    def has_room(self) -> bool:
        """Whether it may be sent more."""
        return len(self.unseen) < _UNSEEN_MOST and self.unseen_bytes < _UNSEEN_BYTES_MOST


class Followers:
    """Those of one node."""

    def __init__(
        self,
        groups: Mapping[str, LocalGroup],
        send: Callable[[bytes, bytes], bool],
        epoch: Callable[[], Epoch],
        limits: wire.Limits,
        *,
        incarnation: int,
        clock: Callable[[], float],
    ) -> None:
        """``incarnation``: a number that no other run of this node has."""
        self._groups = groups
        self._send = send
        self._epoch = epoch
        self._keys_most = limits.keys
        self._part_bytes = min(_PART_BYTES, limits.message_bytes // 2)
        self._incarnation = incarnation
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._followers: dict[bytes, Follower] = {}
        self._due: dict[Follower, None] = {}
        self._cut: OrderedDict[bytes, str] = OrderedDict()
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep)
        self.told = 0
        """Keys, so far."""
        self.skipped = 0
        """Values that came and went before who watches could be told."""

    def __len__(self) -> int:
        return len(self._followers)

    def keep(self, peer: bytes, group: LocalGroup, keys: Iterable[str]) -> None:
        """It keeps copies of what it is answered now."""
        follower = self._follower(peer)
        if follower is None:
            return  # it will find out: nobody answers its FOLLOWING
        audience = group.audience
        for key in keys:
            follower.kept[group.name, key] = None
            audience.keep(follower, key)
        while len(follower.kept) > _KEPT_MOST:
            (name, key), _ = follower.kept.popitem(last=False)
            self._groups[name].audience.forget_kept(follower, [key])
            follower.on_old(name, key)

    def watch(self, peer: bytes, group: LocalGroup, keys: Iterable[str]) -> bool:
        """It wants to hear of these from now on. False: too many do."""
        follower = self._follower(peer)
        if follower is None:
            return False
        watched = follower.watched.setdefault(group.name, {})
        for key in keys:
            watched[key] = None
            group.audience.watch(follower, key)
            follower.on_value(group.name, key)
        return True

    def unwatch(self, peer: bytes, group: LocalGroup, keys: list[str]) -> None:
        """No more."""
        follower = self._followers.get(peer)
        if follower is not None:
            group.audience.forget_watched(follower, keys)
            for key in keys:
                follower.watched.get(group.name, {}).pop(key, None)
                follower.values.pop((group.name, key), None)

    def following(self, peer: bytes, request: wire.Following) -> bytes | None:
        """The answer to FOLLOWING. None: too many follow. Raises `Busy` once for who was cut off."""
        why = self._cut.pop(peer, None)
        if why is not None:
            raise Busy(why)
        follower = self._follower(peer)
        if follower is None:
            return None
        follower.see(request.seen if request.incarnation == self._incarnation else 0, self._clock())
        if follower.values or follower.old or follower.all_old:
            self._tell(follower)
        header = wire.header(wire.NEWS, request.request_id, self._epoch())
        return wire.encode(wire.News(*header, self._incarnation, follower.number, [], [], [], [], [], []))

    def moved(self) -> None:
        """The ring gives some keys to others: who follows is to begin again, by the ring that it will have."""
        for follower in list(self._followers.values()):
            self._forget(follower)
            header = wire.header(wire.NEWS, 0, self._epoch(), flags=wire.ALL_KEYS)
            self._send(
                follower.peer,
                wire.encode(wire.News(*header, self._incarnation, follower.number + 1, [], [], [], [], [], [])),
            )

    def close(self) -> None:
        """Tell nobody any more."""
        self._timer.cancel()
        for follower in list(self._followers.values()):
            self._forget(follower)

    # -- those who follow ------------------------------------------------------------------------------------------

    def _follower(self, peer: bytes) -> Follower | None:
        follower = self._followers.get(peer)
        if follower is None and len(self._followers) < _FOLLOWERS_MOST:
            follower = self._followers[peer] = Follower(peer, self._clock(), self._is_due)
        return follower

    def _forget(self, follower: Follower) -> None:
        del self._followers[follower.peer]
        self._due.pop(follower, None)
        for name, key in follower.kept:
            self._groups[name].audience.forget_kept(follower, [key])
        for name, keys in follower.watched.items():
            self._groups[name].audience.forget_watched(follower, keys)

    def _sweep(self) -> None:
        self._timer = self._loop.call_later(_SWEEP_S, self._sweep)
        since_s = self._clock() - SILENT_S
        for follower in [each for each in self._followers.values() if each.heard_s < since_s]:
            if follower.unseen:
                _log.warning(
                    "a connection left %d messages of news unread for %.0f s: it is told no more",
                    len(follower.unseen),
                    SILENT_S,
                )
                self._cut[follower.peer] = f"news was left unread for {SILENT_S:.0f} s, and is not told any more"
                if len(self._cut) > _CUT_MOST:
                    self._cut.popitem(last=False)
            self._forget(follower)

    # -- telling ---------------------------------------------------------------------------------------------------

    def _is_due(self, follower: Follower) -> None:
        if not self._due:
            self._loop.call_soon(self._tell_all)
        self._due[follower] = None

    def flush(self) -> None:
        """Tell now what this turn has brought so far: it need not wait for its end."""
        if self._due:
            self._tell_all()

    def _tell_all(self) -> None:
        due, self._due = self._due, {}
        for follower in due:
            self._tell(follower)

    def _tell(self, follower: Follower) -> None:
        all_old, follower.all_old = follower.all_old, {}
        for name in all_old:
            self._tell_rows(follower, name, [], flags=wire.ALL_KEYS)
        while (follower.old or follower.values) and follower.has_room:
            name = next(iter(follower.old or follower.values))[0]
            rows: list[tuple[str, bytes | None, int, int, int, int]] = []
            size = 0
            for what in [what for what in follower.old if what[0] == name][: self._keys_most]:
                del follower.old[what]
                rows.append((what[1], None, FOREVER, 0, OLD_FLAG, 0))
                size += 4 * len(what[1]) + wire.ROW_OVERHEAD_BYTES
            for what in [what for what in follower.values if what[0] == name]:
                if size >= self._part_bytes or len(rows) >= self._keys_most:
                    break
                row = self._row(name, what[1], follower.values.pop(what))
                rows.append(row)
                size += len(row[1] or b"") + 4 * len(row[0]) + wire.ROW_OVERHEAD_BYTES
            self._tell_rows(follower, name, rows)

    def _row(self, name: str, key: str, skipped: int) -> tuple[str, bytes | None, int, int, int, int]:
        self.skipped += skipped
        copy = self._groups[name].copy_of(key)
        # What was not deleted, but is over, has no version of its own that is newer than the value was.
        if copy is None or self._groups[name].has_ended(key):
            return key, None, FOREVER, 0, GONE_FLAG, skipped
        life_ms = copy.ttl_ms if copy.fresh_ms == FOREVER else copy.fresh_ms
        return key, copy.value, life_ms, copy.token, copy.flags & (NONE_FLAG | GONE_FLAG), skipped

    def _tell_rows(
        self,
        follower: Follower,
        name: str,
        rows: list[tuple[str, bytes | None, int, int, int, int]],
        *,
        flags: int = 0,
    ) -> None:
        follower.number += 1
        self.told += len(rows)
        columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(6)]
        header = wire.header(wire.NEWS, 0, self._epoch(), flags=flags, group=name)
        frame = wire.encode(wire.News(*header, self._incarnation, follower.number, *columns))
        # Where it cannot be sent the number is missing, and that is noticed.
        self._send(follower.peer, frame)
        follower.unseen.append((follower.number, len(frame)))
        follower.unseen_bytes += len(frame)
