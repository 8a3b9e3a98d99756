"""Emptying a store that goes on serving: in slices, with pauses, since freeing a million entries at one go would stop everything.

What was there when it began is gone when it ends, unless it is newer than the clear itself. What is set meanwhile may go, too, or stay.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zmcache.core.recall import CLEARED
from zmcache.core.store import Store
from zmcache.core.timers import CallLater
from zmcache.core.versions import MAX_VERSION

SLICE_KEYS: Final = 500  # about a millisecond
PAUSE_S: Final = 0.001


def clear(
    store: Store,
    clock: Callable[[], float],
    call_later: CallLater,
    done: Callable[[], None],
    version: int = MAX_VERSION,
) -> None:
    """Delete every entry that is no newer than ``version``, beginning now; then call ``done``, which may be before this returns."""

    def clear_slice(cursor: int | None) -> None:
        keys, after = store.visit(cursor, SLICE_KEYS)
        now_s = clock()
        for key in keys:
            if store.version_of(key) <= version:
                store.delete(key, now_s, CLEARED)
        if after is None or not len(store):
            done()
        else:
            call_later(PAUSE_S, lambda: clear_slice(after))

    clear_slice(None)
