"""The `Raw` of a group that lies in this process: the calls of `zmcache.cache` over a node's own group, with no socket between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final

from zmcache.cache.fences import Fences
from zmcache.cache.lanes import get_in_lanes, keys_at_once, patiently
from zmcache.cache.raw import Row, Told
from zmcache.cache.watching import Feed
from zmcache.cache.watching import Told as Became
from zmcache.calls import Group
from zmcache.core.calls import DEFAULT_TIMEOUT_S, Duration, check_timeout, many_keys
from zmcache.core.explained import Explanation
from zmcache.core.flight import Outcome
from zmcache.core.wire import FILL, GONE_FLAG, NONE_FLAG, Change, check_key
from zmcache.errors import LifecycleError, PartialResult, ZmcacheError

_SLICE: Final = 500  # a few milliseconds


class Here:
    """See `zmcache.cache.raw.Raw`. ``timeout_s``: of a call that names none."""

    def __init__(
        self,
        group: Group,
        clear: Callable[[str, Duration | None], Awaitable[None]],
        invalidate: Callable[[str, Sequence[str], Duration | None], Awaitable[None]],
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self.name = group.name
        self.limits = group.limits
        self._group = group
        self._clear = clear
        self._invalidate = invalidate
        self.timeout_s = timeout_s
        self.fences = Fences()

    async def get(self, key: str, timeout: Duration | None) -> Row:
        """See `Raw.get`."""
        self._group.check_loop()
        outcome = (await self._group.outcomes([key], self._timeout(timeout)))[0]
        return self._row(outcome)

    get_far = get
    get_directly = set_directly = None
    near: Callable[[str], bytes | None] | None = None

    def watch(self, feed: Feed) -> Callable[[], None]:
        """See `Raw.watch`."""
        self._group.check_loop()
        heard = Heard(self._group, feed)
        heard.begin()
        return heard.end

    def explain(self, key: str, timeout: Duration | None) -> Awaitable[Explanation]:
        """See `Raw.explain`."""
        return self._group.explain(key, timeout=self._timeout(timeout))

    def near_statistics(self) -> None:
        """None: all is near."""

    def hedge_statistics(self) -> None:
        """None: there is nobody else to ask."""

    async def peek(self, key: str, timeout: Duration | None) -> Row:
        """See `Raw.peek`."""
        self._group.check_loop()
        return self._row(await self._group.peeked(key, self._timeout(timeout)))

    def forgo(self, key: str) -> None:
        """See `Raw.forgo`. Nothing to do: who waits here has left already."""

    async def get_many(
        self, keys: Iterable[str], timeout: Duration | None
    ) -> tuple[dict[str, bytes | None], dict[str, ZmcacheError]]:
        """See `Raw.get_many`."""
        self._group.check_loop()
        wanted, most = many_keys(keys), keys_at_once(self.limits)
        if len(wanted) <= most:
            return await self._get_some(wanted, self._timeout(timeout))
        for key in wanted:
            check_key(key, self.limits.key_bytes)
        wanted = list(dict.fromkeys(wanted))
        return await get_in_lanes(wanted, most, self._get_some, self._timeout(timeout))

    async def _get_some(
        self, keys: list[str], timeout_s: float
    ) -> tuple[dict[str, bytes | None], dict[str, ZmcacheError]]:
        try:
            return await self._group.get_many(keys, timeout=timeout_s), {}
        except PartialResult as partial:
            return partial.values, partial.errors

    async def change(self, change: Change, timeout: Duration | None) -> Told:
        """See `Raw.change`."""
        if change.kind == FILL:
            return await patiently(partial(self._change, change), self._timeout(timeout))
        return await self._change(change, self._timeout(timeout))

    async def _change(self, change: Change, timeout_s: float) -> Told:
        outcome: Outcome | None = None
        try:
            outcome = await self._group.changed(change, timeout_s)
        finally:
            self.fences.changed(change, None if outcome is None else outcome.status)
        value, status, life_ms = self._row(outcome)
        return value, status, life_ms, outcome.token

    async def change_many(self, changes: Sequence[Change], timeout: Duration | None) -> list[Told | ZmcacheError]:
        """See `Raw.change_many`."""
        timeout_s = self._timeout(timeout)
        told: list[Told | ZmcacheError] = []
        for at, change in enumerate(changes):
            # One after the other: what is in this process is done at once. The loop has others to serve.
            if at % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
            try:
                told.append(await self.change(change, timeout_s))
            except LifecycleError:
                raise
            except ZmcacheError as error:
                told.append(error)
        return told

    def post(self, change: Change) -> None:
        """See `Raw.post`."""
        self._group.post(change)

    async def clear(self, timeout: Duration | None) -> None:
        """See `Raw.clear`."""
        try:
            await self._clear(self.name, timeout)
        finally:
            self.fences.cleared()

    async def invalidate_tags(self, tags: Sequence[str], timeout: Duration | None) -> None:
        """See `Raw.invalidate_tags`."""
        try:
            await self._invalidate(self.name, tags, timeout)
        finally:
            self.fences.cleared()

    def _timeout(self, timeout: Duration | None) -> float:
        return self.timeout_s if timeout is None else check_timeout(timeout)

    def _row(self, outcome: Outcome) -> Row:
        if outcome.error is not None:
            raise outcome.error.with_traceback(None)
        return outcome.value, outcome.status, self._group.life_ms(outcome.expires_at_s)


class Heard:
    """A feed of what becomes of keys of a group in this process. See `zmcache.core.audience.Hearer`."""

    def __init__(self, group: Group, feed: Feed) -> None:
        self._group, self._feed = group, feed

    def begin(self) -> None:
        """With what is there."""
        for key in self._feed.keys:
            self._group.audience.watch(self, key)
            self.on_value(self._group.name, key)

    def end(self) -> None:
        """No more."""
        self._group.audience.forget_watched(self, self._feed.keys)

    def on_value(self, group: str, key: str) -> None:
        """See `Hearer`."""
        copy = self._group.copy_of(key)
        exists = copy is not None and not copy.flags & GONE_FLAG
        value = copy.value if copy is not None and exists and not copy.flags & NONE_FLAG else None
        self._feed.hear(Became(key, value, exists, copy.token if copy is not None else 0))

    def on_old(self, group: str, key: str) -> None:
        """See `Hearer`. It keeps no copies."""

    def on_all_old(self, group: str) -> None:
        """See `Hearer`. It keeps no copies."""
