"""The `Raw` of one named group from before its connection is open until after it is closed: what groups of calls and functions hold on to.

So a group can be had, and a function decorated, when a module is imported: no loop runs then, and nothing is connected. What is behind the
entrance changes; who holds it need not know. Where there is nothing behind it each call raises `LifecycleError`, whatever `on_error` says,
for asking again later will never help.

A call costs one look-up of an attribute here: these are the methods of what is behind, not methods that call them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from zmcache.cache.fences import Fences
from zmcache.cache.raw import (
    CLOSED,
    NOT_OPEN,
    GetDirectly,
    HedgeStatistics,
    NearStatistics,
    Raw,
    Row,
    SetDirectly,
    Told,
)
from zmcache.cache.watching import Feed
from zmcache.core.calls import Duration
from zmcache.core.explained import Explanation
from zmcache.core.wire import Change, Limits
from zmcache.errors import LifecycleError, ZmcacheError


class Entrance:
    """See the module's docstring, and `zmcache.cache.raw.Raw`."""

    get: Callable[[str, Duration | None], Awaitable[Row]]
    get_far: Callable[[str, Duration | None], Awaitable[Row]]
    peek: Callable[[str, Duration | None], Awaitable[Row]]
    get_directly: GetDirectly | None
    set_directly: SetDirectly | None
    """None where there is nothing behind it, too: who asks through the loop then is told why."""
    near: Callable[[str], bytes | None] | None
    watch: Callable[[Feed], Callable[[], None]]
    forgo: Callable[[str], None]
    get_many: Callable[
        [Iterable[str], Duration | None], Awaitable[tuple[dict[str, bytes | None], dict[str, ZmcacheError]]]
    ]
    change: Callable[[Change, Duration | None], Awaitable[Told]]
    change_many: Callable[[Sequence[Change], Duration | None], Awaitable[list[Told | ZmcacheError]]]
    post: Callable[[Change], None]
    clear: Callable[[Duration | None], Awaitable[None]]
    explain: Callable[[str, Duration | None], Awaitable[Explanation]]
    invalidate_tags: Callable[[Sequence[str], Duration | None], Awaitable[None]]

    def __init__(self, name: str, limits: Limits, timeout_s: float) -> None:
        self.name = name
        self.limits = limits
        self.timeout_s = timeout_s
        self.fences = Fences()
        self.behind: Raw | None = None
        self.forgo = self.post = _nothing
        self._refuse(NOT_OPEN)

    def open(self, raw: Raw) -> None:
        """The connection is open, and this is what lies behind it."""
        self.behind = raw
        # Who makes values here has asked to hear of changes before there was anything behind.
        raw.fences = self.fences
        self.get, self.get_far, self.peek, self.get_many = raw.get, raw.get_far, raw.peek, raw.get_many
        self.change, self.change_many, self.clear = raw.change, raw.change_many, raw.clear
        self.invalidate_tags = raw.invalidate_tags
        self.forgo, self.post = raw.forgo, raw.post
        self.get_directly, self.set_directly = raw.get_directly, raw.set_directly
        self.near, self.watch, self.explain = raw.near, raw.watch, raw.explain

    def near_statistics(self) -> NearStatistics | None:
        """See `Raw.near_statistics`."""
        return None if self.behind is None else self.behind.near_statistics()

    def hedge_statistics(self) -> HedgeStatistics | None:
        """See `Raw.hedge_statistics`."""
        return None if self.behind is None else self.behind.hedge_statistics()

    def close(self) -> None:
        """It is closing: nobody asks for anything any more. What ends now may still give back its lease (`post`)."""
        self._refuse(CLOSED)

    def _refuse(self, why: str) -> None:
        async def refuse(*_: object) -> Any:
            raise LifecycleError(why)

        def refuse_watch(feed: Feed) -> Callable[[], None]:
            raise LifecycleError(why)

        self.get_directly = self.set_directly = self.near = None
        self.watch = refuse_watch
        self.get = self.get_far = self.peek = self.get_many = self.change = self.change_many = self.clear = (
            self.explain
        ) = refuse
        self.invalidate_tags = refuse


def _nothing(*_: object) -> None:
    """Nobody waits, and nobody hears it."""
