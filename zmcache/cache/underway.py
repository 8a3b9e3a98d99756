"""Which functions that make values are running, which of them a call comes from, and whether one waits for itself.

Each run of such a function is a `Run`, and stands in the context in which it runs; so a call knows whose it is. While it waits, its run knows
what for. Before it begins to, the chain is walked: from what is to be waited for to the run that makes it, to all that this one waits for, and
so on. Where that leads back, everyone on the way would wait for ever, and the call raises.

A context outlives what was begun in it: a task that a function leaves behind still has its run, which is marked as over then.
What runs in other processes cannot be seen here: there the leases bound how long anyone waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol, TypeAlias

from zmcache.errors import RecursiveFill


class Waits(Protocol):
    """A call that waits."""

    def runs(self) -> Iterable[Run]:
        """What makes that which it waits for, as far as it runs yet."""


class Run:
    """One run of a function that makes the value of ``key``; ``scope`` is what the key belongs to. ``waits``: what it waits for now."""

    __slots__ = ("is_over", "key", "scope", "waits")

    def __init__(self, scope: object, key: str) -> None:
        self.scope = scope
        self.key = key
        self.is_over = False
        self.waits: set[Waits] = set()


Runs: TypeAlias = tuple[Run, ...]
"""Those that a call stands in, the innermost last."""

_standing: Final[ContextVar[Runs]] = ContextVar("zmcache_fills", default=())


def standing_in() -> Runs:
    """Of the current context."""
    return _standing.get()


@contextmanager
def stand_in(runs: Runs) -> Iterator[None]:
    """Whoever asks for something inside the block, and where its context goes, asks from within these."""
    reset = _standing.set(runs)
    try:
        yield
    finally:
        _standing.reset(reset)


def stand_in_none() -> None:
    """For a context of its own: what is done in it holds up nobody."""
    _standing.set(())


@contextmanager
def running(run: Run) -> Iterator[None]:
    """``run`` lasts as long as the block."""
    try:
        with stand_in((*_standing.get(), run)):
            yield
    finally:
        run.is_over = True


def innermost() -> Run | None:
    """The run that a call made now would hold up."""
    return next((run for run in reversed(_standing.get()) if not run.is_over), None)


def check_not_in(scope: object, key: str) -> None:
    """Raises `RecursiveFill` inside a run for that very key."""
    for run in _standing.get():
        if run.key == key and run.scope is scope and not run.is_over:
            raise RecursiveFill(f"the fill of {key!r} asks for {key!r} itself")


def check_may_wait(run: Run, for_run: Run) -> None:
    """Raises `RecursiveFill` where ``for_run`` waits for ``run``, by whatever way."""
    seen = {for_run}
    left = [for_run]
    while left:
        other = left.pop()
        if other is run:
            raise RecursiveFill(f"the fill of {for_run.key!r} waits for that of {run.key!r}, which now asks for it")
        for waiting in other.waits:
            new = [one for one in waiting.runs() if one not in seen]
            seen.update(new)
            left += new
