"""What an entry costs in memory beside its key and its value: measured by filling a cache in a process of its own.

Resident memory is what is asked about, and what the caches of all packages have in common: not all of them are made of Python objects. Three times
as many entries come as there is room for, so that what a cache remembers of those that have gone is in the figure.
"""

from __future__ import annotations

import gc
import itertools
import math
import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

from zmcache.core.store import Store

from .beside import installed
from .replay import budget_bytes

_ENTRIES: Final = 100_000
_STATM: Final = Path("/proc/self/statm")


def overhead_bytes(cache: str) -> float | None:
    """Resident bytes an entry, keys and values not counted, of one of our policies or of a cache beside, by name. Takes a second or
    two. None where the system does not tell.
    """
    if not _STATM.exists():
        return None
    context = multiprocessing.get_context("spawn")
    answers, answer = context.Pipe(duplex=False)
    process = context.Process(target=_measure, args=(cache, answer), daemon=True)
    process.start()
    answer.close()
    try:
        found: float = answers.recv()
    finally:
        process.join()
    return found


def _measure(cache: str, answer: Connection) -> None:
    keys = [f"{number:013d}" for number in range(3 * _ENTRIES)]
    value = bytes(16)  # one for all: it costs nothing
    beside = installed().get(cache)
    if beside is None:
        store = Store(budget_bytes(_ENTRIES, len(value), key=keys[0], policy=cache), cache)
        used = itertools.cycle((True, False))

        def put(key: str) -> None:
            # Every second one is used at once: a policy that tells such keys from others remembers both kinds.
            store.set(key, value, math.inf, 0.0)
            if next(used):
                store.get(key, 0.0)

        answer.send(_filled(keys, put))
    else:
        with beside.opened(_ENTRIES, False) as (_, put_beside):
            answer.send(_filled(keys, lambda key: put_beside(key, value)))


def _filled(keys: list[str], put: Callable[[str], object]) -> float:
    before = _resident_bytes()
    for key in keys:
        put(key)
    return (_resident_bytes() - before) / _ENTRIES


def _resident_bytes() -> int:
    gc.collect()
    return int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()
