"""The caches of other packages, where they are installed: the same stream, the same sizes, the same costs.

cachetools  pure Python        LRU, LFU, FIFO: in items and in bytes
cachebox    a C or Rust core   the same
theine      W-TinyLFU, adaptive, a Rust core; it counts items only
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final, NamedTuple

from .replay import Outcome, cost
from .stream import Stream

_KINDS: Final = {"lru": "LRUCache", "lfu": "LFUCache", "fifo": "FIFOCache"}


class Beside(NamedTuple):
    """A cache beside ours. ``opened``: one for so many items, or bytes where ``in_bytes``."""

    name: str
    in_bytes: bool
    opened: Callable[[int, bool], Any]


def installed() -> dict[str, Beside]:
    """By name, those whose packages are there."""
    found: list[Beside] = []
    for package in ("cachetools", "cachebox"):
        if find_spec(package):
            found += [Beside(f"{package} {kind}", True, _mapping(package, name)) for kind, name in _KINDS.items()]
    if find_spec("theine"):
        found.append(Beside("theine", False, _theine))
    return {each.name: each for each in found}


def missing() -> list[str]:
    """The packages that are not there."""
    return [package for package in ("cachetools", "cachebox", "theine") if not find_spec(package)]


def replay_beside(stream: Stream, size: int, cache: Beside, *, in_bytes: bool) -> Outcome:
    """As `replay`, with room for ``size`` items or bytes. A value that the cache refuses as too large is not kept."""
    with cache.opened(size, in_bytes) as (get, put):
        return _run(stream, get, put, in_bytes=in_bytes)


def _run(stream: Stream, get: Callable[[str], Any], put: Callable[[str, int], None], *, in_bytes: bool) -> Outcome:
    keys, sizes = stream.keys, stream.sizes
    hits = bytes_hit = 0
    costs = [cost(key, size) for key, size in zip(keys, sizes, strict=True)] if in_bytes and sizes else [1] * len(keys)
    began_s = time.perf_counter()
    for at, key in enumerate(keys):
        if get(key) is None:
            put(key, costs[at])
        else:
            hits += 1
            if sizes:
                bytes_hit += sizes[at]
    seconds = time.perf_counter() - began_s
    return Outcome(len(keys), hits, sum(sizes or ()), bytes_hit, seconds)


def _mapping(package: str, kind: str) -> Callable[[int, bool], Any]:
    @contextmanager
    def opened(size: int, in_bytes: bool) -> Iterator[tuple[Callable[[str], Any], Callable[[str, int], None]]]:
        make = getattr(import_module(package), kind)
        # Values are their costs. cachetools asks for the size of a value, cachebox of a key and its value.
        weigh = (lambda value: value) if package == "cachetools" else (lambda key, value: value)
        cache: MutableMapping[str, int] = make(size, getsizeof=weigh) if in_bytes else make(size)

        def put(key: str, value: int) -> None:
            try:
                cache[key] = value
            except (ValueError, OverflowError):  # larger than the whole cache
                cache.pop(key, None)

        yield cache.get, put if in_bytes else cache.__setitem__

    return opened


@contextmanager
def _theine(size: int, in_bytes: bool) -> Iterator[tuple[Callable[[str], Any], Callable[[str, int], None]]]:
    cache = import_module("theine").Cache(size)
    ask = cache.get
    try:
        yield (lambda key: ask(key)[0]), cache.set
    finally:
        cache.close()
