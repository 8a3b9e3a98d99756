"""The `Raw` of a group that lies in this process: the calls of `zmcache.cache` over a node's own group, with no socket between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from zmcache.cache.raw import Row, Told
from zmcache.calls import Group
from zmcache.core.calls import DEFAULT_TIMEOUT_S, Duration, check_timeout
from zmcache.core.flight import Outcome
from zmcache.core.wire import Change
from zmcache.errors import PartialResult, ZmcacheError


class Here:
    """See `zmcache.cache.raw.Raw`. ``timeout_s``: of a call that names none."""

    def __init__(
        self,
        group: Group,
        clear: Callable[[str, Duration | None], Awaitable[None]],
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        self.name = group.name
        self.limits = group.limits
        self._group = group
        self._clear = clear
        self.timeout_s = timeout_s

    async def get(self, key: str, timeout: Duration | None) -> Row:
        """See `Raw.get`."""
        outcome = (await self._group.outcomes([key], self._timeout(timeout)))[0]
        return self._row(outcome)

    get_directly = None

    async def peek(self, key: str, timeout: Duration | None) -> Row:
        """See `Raw.peek`."""
        return self._row(await self._group.peeked(key, self._timeout(timeout)))

    def forgo(self, key: str) -> None:
        """See `Raw.forgo`. Nothing to do: who waits here has left already."""

    async def get_many(
        self, keys: Iterable[str], timeout: Duration | None
    ) -> tuple[dict[str, bytes | None], dict[str, ZmcacheError]]:
        """See `Raw.get_many`."""
        try:
            return await self._group.get_many(keys, timeout=self._timeout(timeout)), {}
        except PartialResult as partial:
            return partial.values, partial.errors

    async def change(self, change: Change, timeout: Duration | None) -> Told:
        """See `Raw.change`."""
        outcome = await self._group.changed(change, self._timeout(timeout))
        value, status, life_ms = self._row(outcome)
        return value, status, life_ms, outcome.token

    async def change_many(self, changes: Sequence[Change], timeout: Duration | None) -> list[Told | ZmcacheError]:
        """See `Raw.change_many`."""
        told = await asyncio.gather(*(self.change(change, timeout) for change in changes), return_exceptions=True)
        for how in told:
            if isinstance(how, BaseException) and not isinstance(how, ZmcacheError):
                raise how
        return told  # type: ignore[return-value]  # what else there may be was raised

    def post(self, change: Change) -> None:
        """See `Raw.post`."""
        self._group.post(change)

    async def clear(self, timeout: Duration | None) -> None:
        """See `Raw.clear`."""
        await self._clear(self.name, timeout)

    def _timeout(self, timeout: Duration | None) -> float:
        return self.timeout_s if timeout is None else check_timeout(timeout)

    def _row(self, outcome: Outcome) -> Row:
        if outcome.error is not None:
            raise outcome.error.with_traceback(None)
        return outcome.value, outcome.status, self._group.life_ms(outcome.expires_at_s)
