"""What this node is not to hold any more is removed, in slices.

A slice looks at `SLICE_KEYS` keys and no more, and a pause follows, so that most of the loop is left to those who ask. What is stored
while a sweep is under way was stored under the new ring and needs no visit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from zmcache.core.recall import MOVED
from zmcache.core.store import Store
from zmcache.core.timers import CallLater, Timer

SLICE_KEYS: Final = 150  # about half a millisecond
PAUSE_S: Final = 0.002
_PLANS_MOST: Final = 16

Kept: TypeAlias = Callable[[str], bool]
"""Whether a key is to be held here."""


class Sweep:
    """Removes from ``store`` what is not ``is_kept`` when it is visited. ``clock`` is the store's; ``on_end`` is called after each sweep.

    What is to go has its time from when it was said: another sweep that is asked for meanwhile neither shortens nor prolongs it. One that is asked
    for while one is under way comes after it, for what is stored behind the place where that one is.
    """

    __slots__ = ("_call_later", "_clock", "_is_kept", "_on_end", "_plans", "_store", "_timer", "_under_way", "removed")

    def __init__(
        self,
        store: Store,
        is_kept: Kept,
        call_later: CallLater,
        clock: Callable[[], float],
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._is_kept = is_kept
        self._call_later = call_later
        self._clock = clock
        self._on_end = on_end
        self._plans: list[
            tuple[float, Kept]
        ] = []  # sweeps that were asked for: when each is due, and what was kept then
        self._under_way: tuple[float, Kept] | None = None
        self._timer: Timer | None = None  # until a sweep begins, and while it is under way
        self.removed = 0

    def begin(self, after_s: float, was_kept: Kept = lambda _: False) -> None:
        """After that time remove what is not kept any more, but nothing that ``was_kept``: no effect where one is about to begin. One that was
        stopped goes on as well, when it was to.
        """
        if self._timer is None or self._plans == [self._under_way]:
            self._plans.append((self._clock() + after_s, was_kept))
            if len(self._plans) > _PLANS_MOST:
                # What was to go then goes with what is to go now.
                del self._plans[-2]
            if self._timer is None:
                self._await_next()

    def stop(self) -> None:
        """Leave the rest as it is, until `begin`."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._under_way = None

    def _await_next(self) -> None:
        self._timer = None
        if self._plans:
            due_s = min(due_s for due_s, _ in self._plans)
            self._timer = self._call_later(max(0.0, due_s - self._clock()), self._start)

    def _start(self) -> None:
        self._under_way = min(self._plans, key=lambda plan: plan[0])
        self._slice(self._under_way, None)

    def _slice(self, plan: tuple[float, Kept], cursor: int | None) -> None:
        keys, after = self._store.visit(cursor, SLICE_KEYS)
        now_s, (_, was_kept) = self._clock(), plan
        for key in keys:
            if not self._is_kept(key) and not was_kept(key):
                self.removed += self._store.delete(key, now_s, MOVED)
        if after is not None:
            self._timer = self._call_later(PAUSE_S, lambda: self._slice(plan, after))
            return
        self._plans.remove(plan)
        self._under_way = None
        self._await_next()
        self._on_end()
