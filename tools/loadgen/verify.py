"""Whether a cache gives back what it was given: every value that a read returned is judged by its own header.

    wrong   another key's value; one that was never written; or not what the backend has, where that can be asked
    torn    not whole: its checksum or its length does not fit
    stale   overwritten or deleted before the read began

When is a value stale? Versions are counted from 1 by the writer, over all keys. A write w is over when it was
acknowledged. What had been acknowledged when w began is overwritten by w; what was under way then may be written
before or after it, and so may what begins later. So for each key there is a floor, and the acknowledgement of w raises it
to the lowest version that was under way when w began, w itself included. A read is held against the floor as it was
when the read began: a write that overlaps it may be seen or not.

A write that failed may have been done, or may still be done at any later time, so its version is never called stale. A
delete is a write without a value. A key that is absent is never a finding: a cache may forget.

Of what other writers wrote only the key and the checksum are judged: nothing is known of their order and ours. Reads of
one key need not be monotonic. What none of us wrote was loaded by the cache, or was there before: it is held against
``expected``, else it is counted as unverified, or as wrong where nothing loads.

About 2 us a read, 3 us a write, and 150 bytes for each key that was written, up to a limit.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final

from .errors import LoadgenError
from .values import Torn, ValueMaker, hash_key, read_stamp, worker_of

Expected = Callable[[str], bytes | None]
"""The backend's value of a key; None: it knows no such key."""

Began = tuple[int, int]
"""What `Verifier.begin_read` gives and `Verifier.check` takes: (hash of the key, floor)."""

_SHARDS: Final = 64  # a dict that grows to hold a million stands still for 30 ms, which the latencies would show
_FIRST: Final = 5


class Verifier:
    """Judges the reads, and stamps the writes, of one worker.

    ``expected`` tells what the backend has. ``only_ours``: nothing but runs like this one writes there, and the cache loads
    nothing by itself, so that any other value is wrong. ``max_keys``: of how many written keys the newest version is remembered; reads
    of others are not called stale. ``max_failed``: how many failed writes are told apart; beyond that, no version up
    to the last of them is called stale.
    """

    def __init__(
        self,
        worker: int = 0,
        expected: Expected | None = None,
        *,
        only_ours: bool = False,
        max_keys: int = 2_000_000,
        max_failed: int = 1_000_000,
    ) -> None:
        self.checked = self.wrong = self.torn = self.stale = self.unverified = 0
        self.first: list[str] = []
        self._maker: Final = ValueMaker(worker)
        self._expected = expected
        self._only_ours = only_ours
        self._version = 0
        self._floors: list[dict[int, int]] = [{} for _ in range(_SHARDS)]
        self._shard_keys = -(-max_keys // _SHARDS)
        self._under_way: dict[int, list[int]] = {}  # versions by hash of the key, rising
        self._failed: set[int] = set()
        self._max_failed = max_failed
        self._excused = 0  # the newest failed version that found no place in `_failed`

    # -- writes ----------------------------------------------------------------------------------------------------

    def writing(self, key: str, size: int) -> AbstractContextManager[bytes]:
        """Around a write; gives its value. Leaving without an exception means that it was acknowledged."""
        key_hash = hash_key(key)
        write = self._begin(key_hash)
        write.value = self._maker.make(key_hash, write.version, size)
        return write

    def deleting(self, key: str) -> AbstractContextManager[bytes]:
        """Around a delete, in the same way."""
        return self._begin(hash_key(key))

    def _begin(self, key_hash: int) -> _Write:
        version = self._version = self._version + 1
        under_way = self._under_way.setdefault(key_hash, [])
        under_way.append(version)
        return _Write(self, key_hash, version, under_way[0])

    def end(self, key_hash: int, version: int, floor: int, *, acknowledged: bool) -> None:
        """A write is over. ``floor``: the lowest version that was under way when it began."""
        under_way = self._under_way[key_hash]
        under_way.remove(version)
        if not under_way:
            del self._under_way[key_hash]
        if acknowledged:
            floors = self._floors[key_hash % _SHARDS]
            before = floors.get(key_hash)
            if (before is None and len(floors) < self._shard_keys) or (before is not None and before < floor):
                floors[key_hash] = floor
        elif len(self._failed) < self._max_failed:
            self._failed.add(version)
        else:
            self._excused = max(self._excused, version)

    # -- reads -----------------------------------------------------------------------------------------------------

    def begin_read(self, key: str) -> Began:
        """To be called before a read, for `check` after it."""
        key_hash = hash_key(key)
        return key_hash, self._floors[key_hash % _SHARDS].get(key_hash, 0)

    def check(self, key: str, value: bytes | None, began: Began) -> None:
        """Judge what a read of ``key`` returned; None: it was absent, which is never a finding."""
        if value is None:
            return
        key_hash, floor = began
        try:
            stamp = read_stamp(value, key_hash)
        except Torn as torn:
            self.checked += 1
            self.torn += 1
            self._tell("torn", key, str(torn))
            return
        if stamp is None:
            self._check_stranger(key, value)
            return
        self.checked += 1
        stamped_hash, writer, version = stamp
        if stamped_hash != key_hash:
            self.wrong += 1
            self._tell("wrong", key, f"the value of another key, version {version} of worker {worker_of(writer)}")
        elif writer == self._maker.writer:
            self._check_version(key, version, floor)

    def found(self) -> dict[str, object]:
        """The counts, and the first few findings as text."""
        return {
            "checked": self.checked,
            "wrong": self.wrong,
            "stale": self.stale,
            "torn": self.torn,
            "unverified": self.unverified,
            "first": list(self.first),
        }

    def _check_version(self, key: str, version: int, floor: int) -> None:
        if version > self._version:
            self.wrong += 1
            self._tell("wrong", key, f"version {version}, which was never written (the newest is {self._version})")
        elif version < floor and version > self._excused and version not in self._failed:
            self.stale += 1
            self._tell(
                "stale", key, f"version {version}, though {floor} or later had replaced it before the read began"
            )

    def _check_stranger(self, key: str, value: bytes) -> None:
        if self._expected is not None:
            self.checked += 1
            expected = self._expected(key)
            if value != expected:
                self.wrong += 1
                known = "knows no such key" if expected is None else f"has {_shown(expected)}"
                self._tell("wrong", key, f"{_shown(value)}, where the backend {known}")
        elif self._only_ours:
            self.checked += 1
            self.wrong += 1
            self._tell("wrong", key, f"{_shown(value)}, which no run has written")
        else:
            self.unverified += 1

    def _tell(self, finding: str, key: str, text: str) -> None:
        if len(self.first) < _FIRST:
            self.first.append(f"{finding}: {key!r}: {text}")


class _Write:
    """One write or delete under way."""

    __slots__ = ("floor", "key_hash", "value", "verifier", "version")

    def __init__(self, verifier: Verifier, key_hash: int, version: int, floor: int) -> None:
        self.verifier, self.key_hash, self.version, self.floor = verifier, key_hash, version, floor
        self.value = b""

    def __enter__(self) -> bytes:
        return self.value

    def __exit__(self, exc_type: object, *exc_info: object) -> None:
        self.verifier.end(self.key_hash, self.version, self.floor, acknowledged=exc_type is None)


def loader_named(text: str | None) -> Expected | None:
    """The function named ``module:function``, which takes a key and returns its value or None; None for None.

    Raises `LoadgenError` when it cannot be imported, or is not such a function as far as that can be seen.
    """
    if text is None:
        return None
    module_name, _, name = text.partition(":")
    if not module_name or not name:
        raise LoadgenError(f"verify-loader: expected module:function, found {text!r}")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except Exception as exc:  # importing runs whatever stands in the module
        raise LoadgenError(f"verify-loader {text}: {type(exc).__name__}: {' '.join(str(exc).split())}") from exc
    if not callable(function) or inspect.iscoroutinefunction(function):
        raise LoadgenError(f"verify-loader {text}: expected a function, not async, from a key to its value")
    expected: Expected = function
    return expected


def _shown(value: bytes) -> str:
    return f"{len(value)} bytes ({value[:16]!r}{'...' if len(value) > 16 else ''})"
