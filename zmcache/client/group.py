"""What a client asks for one group, over the wire: the `Raw` of its groups. What happens on the way is in `zmcache.client.asking`, and for
what is no get in `zmcache.client.errands`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import Final, TypeAlias

import msgspec

from zmcache.cache.fences import Fences
from zmcache.cache.lanes import get_in_lanes, in_lanes, keys_at_once, parts_of, patiently
from zmcache.cache.raw import GetDirectly, HedgeStatistics, NearStatistics, Row, Told
from zmcache.cache.watching import Feed
from zmcache.client.asking import Asking
from zmcache.client.bulk import Bulk, discard, found_in
from zmcache.client.direct import DirectCalls
from zmcache.client.errands import Errand, Errands
from zmcache.client.hedging import HedgedAsking
from zmcache.client.near import Near, NearGets, NearSettings
from zmcache.client.route import OwnerRoute, Route
from zmcache.client.watching import Watching
from zmcache.core.calls import Duration, check_timeout, many_keys
from zmcache.core.explained import Explanation
from zmcache.core.wire import FILL, FROM_LOADER, GETS, IS_NONE, Change, check_key
from zmcache.errors import ConfigError, DeadlineExceeded, MeshError, PeerUnavailable, ZmcacheError
from zmcache.peers.explanation import explanation_of
from zmcache.peers.following import Sessions

_TEXT: Final = frozenset({str})

AskMany: TypeAlias = Callable[[list[str], Duration | None], tuple[list[Bulk], dict[str, asyncio.Future[Row]]]]


class ClientRaw:
    """See `zmcache.cache.raw.Raw`."""

    def __init__(
        self,
        name: str,
        route: Route,
        timeout_s: float,
        on_unreachable: Callable[[], None],
        clear: Callable[[str, Duration | None], Awaitable[None]],
        invalidate: Callable[[str, Sequence[str], Duration | None], Awaitable[None]],
        sessions: Sessions,
        near: NearSettings | None = None,
        hedge: float = 0.0,
    ) -> None:
        """``on_unreachable`` is called when a node could not be reached: the ring may have changed. ``near``: keep copies here. ``hedge``: the
        share of gets that may be asked of another node, too.
        """
        self.name = name
        self.limits = route.mesh.limits
        self.timeout_s = timeout_s
        self.fences = Fences()
        self._keys_at_once = keys_at_once(self.limits)
        self._clear = clear
        self._invalidate = invalidate
        self._route = route = route.of(name)
        self._by_owner = isinstance(route, OwnerRoute)
        self._hedged = HedgedAsking(name, route, timeout_s, on_unreachable, hedge) if hedge else None
        self._asking = self._hedged or Asking(name, route, timeout_s, on_unreachable)
        # Apart: what is asked for by who makes it is not loaded, and so cannot be shared with who wants it loaded.
        self._peeking = Asking(name, route, timeout_s, on_unreachable, fills=True)
        self._errands = Errands(name, route, timeout_s, on_unreachable, self._asking.fence)
        self.get: Callable[[str, Duration | None], asyncio.Future[Row]] = self._asking.ask
        self.get_far: Callable[[str, Duration | None], asyncio.Future[Row]] = self._asking.ask
        self.peek: Callable[[str, Duration | None], asyncio.Future[Row]] = self._peeking.ask
        self._direct = DirectCalls(name, route, timeout_s)
        # A thread that asks past the loop has nobody to notice that its answer is late.
        self.get_directly: GetDirectly | None = None if hedge else self._direct.get
        self._watching = Watching(name, route, sessions, route.mesh.clock)
        sessions.add(name, self._watching)
        self.near: Callable[[str], bytes | None] | None = None
        self._near: NearGets | None = None
        self._ask_many: AskMany = self._asking.ask_many
        self._get_part = self._get_some
        if near is not None:
            self._near = NearGets(near, name, route, sessions, self._asking, self._peeking)
            self.near, self.get, self.get_far = self._near.copies.read, self._near.get, self._near.get_far
            self.peek = self._near.peek
            self._ask_many, self._get_part = self._near.ask_many, partial(self._get_others, self._near.copies)
            self.get_directly = None  # a thread that asks past the loop would not find what is here

    def forgo(self, key: str) -> None:
        """See `Raw.forgo`."""
        self._asking.forgo(key)
        self._peeking.forgo(key)

    def watch(self, feed: Feed) -> Callable[[], None]:
        """See `Raw.watch`."""
        if not self._by_owner:
            raise ConfigError('watch needs route="owner": it is owners who tell')
        self._watching.add(feed)
        return partial(self._watching.remove, feed)

    def ring_changed(self) -> None:
        """Keys have other owners."""
        if self._near is not None:
            self._near.copies.drop_all()

    async def explain(self, key: str, timeout: Duration | None) -> Explanation:
        """See `Raw.explain`."""
        mesh = self._route.mesh
        if not mesh.ring:
            raise PeerUnavailable("no node has answered yet")
        deadline_s = mesh.clock() + (self.timeout_s if timeout is None else check_timeout(timeout))
        explanation = await explanation_of(mesh, self.name, key, deadline_s, also=self._route.channel(key))
        near = None if self._near is None else self._near.copies.look(key)
        return msgspec.structs.replace(explanation, near=near)

    def near_statistics(self) -> NearStatistics | None:
        """What the copies here did; None where none are kept."""
        return None if self._near is None else self._near.copies.statistics()

    def hedge_statistics(self) -> HedgeStatistics | None:
        """See `Raw.hedge_statistics`."""
        return None if self._hedged is None else self._hedged.statistics()

    async def aclose(self) -> None:
        """Watch nothing any more."""
        await self._watching.aclose()

    async def get_many(
        self, keys: Iterable[str], timeout: Duration | None
    ) -> tuple[dict[str, bytes | None], dict[str, ZmcacheError]]:
        """See `Raw.get_many`."""
        wanted = self._checked(keys)
        most = self._keys_at_once
        if len(wanted) <= most:
            return await self._get_part(wanted, timeout)
        return await get_in_lanes(wanted, most, self._get_part, self.timeout_s if timeout is None else timeout)

    async def _get_others(
        self, copies: Near, wanted: list[str], timeout: Duration | None
    ) -> tuple[dict[str, bytes | None], dict[str, ZmcacheError]]:
        """Ask for what is not here."""
        here = copies.found(wanted)
        if not here:
            return await self._get_some(wanted, timeout)
        if len(here) == len(wanted):
            return dict(here), {}
        values, errors = await self._get_some([key for key in wanted if key not in here], timeout)
        values.update(here)
        return {key: values[key] for key in wanted if key in values}, errors

    async def _get_some(
        self, wanted: list[str], timeout: Duration | None
    ) -> tuple[dict[str, bytes | None], dict[str, ZmcacheError]]:
        bulks, futures = self._ask_many(wanted, timeout)
        values: dict[str, bytes | None] = {}
        errors: dict[str, ZmcacheError] = {}
        try:
            for bulk in bulks:
                answer = await bulk.future
                if answer is None:
                    futures.update(zip(bulk.keys, bulk.futures, strict=True))
                else:
                    values.update(found_in(bulk.keys, answer))
            for key, future in futures.items():
                try:
                    value, status, _ = future.result() if future.done() else await future
                except ZmcacheError as error:
                    errors[key] = error
                else:
                    if status <= FROM_LOADER or status == IS_NONE:
                        values[key] = value
        except asyncio.CancelledError:
            discard(futures.values())
            for bulk in bulks:
                discard([bulk.future, *bulk.futures])
                bulk.forgo()
            for key in futures:
                self.forgo(key)
            raise
        if futures or len(bulks) > 1:  # by channel so far
            values = {key: values[key] for key in wanted if key in values}
        return values, errors

    def _checked(self, keys: Iterable[str]) -> list[str]:
        """Each key once. Raises `InvalidKey`."""
        wanted = many_keys(keys)
        limit = self.limits.key_bytes
        # All at once, in C, a tenth of what a loop takes; only what is not plain is looked at by itself.
        if set(map(type, wanted)) <= _TEXT:
            whole, once = "".join(wanted), set(wanted)
            if whole.isascii() and "" not in once and (len(whole) <= limit or max(map(len, wanted)) <= limit):
                return wanted if len(once) == len(wanted) else list(dict.fromkeys(wanted))
        for key in wanted:
            check_key(key, limit)
        return list(dict.fromkeys(wanted))

    async def change(self, change: Change, timeout: Duration | None) -> Told:
        """See `Raw.change`."""
        if change.kind == FILL:
            return await patiently(partial(self._change, change), self.timeout_s if timeout is None else timeout)
        return await self._change(change, timeout)

    async def _change(self, change: Change, timeout: Duration | None) -> Told:
        self._fence(change.key)
        errand = self._errands.begin(change, timeout)
        status: int | None = None
        try:
            told: Told = await errand[2]
            status = told[1]
            return told
        except (asyncio.CancelledError, DeadlineExceeded):
            if change.kind == FILL:
                self._errands.forgo_fill(errand)
            elif change.kind == GETS:
                errand[1].channel.forgo(errand[1], errand)
            raise
        finally:
            self._changed(change, status)

    def set_directly(
        self, change: Change, timeout: Duration | None, soon: Callable[[Callable[[], None]], None]
    ) -> tuple[bool, Duration | None]:
        """See `Raw.set_directly`."""
        status: int | None = None
        try:
            row, timeout = self._direct.set(change, timeout)
            status = None if row is None else row[1]
        finally:
            soon(partial(self._changed, change, status))
        return row is not None, timeout

    async def change_many(self, changes: Sequence[Change], timeout: Duration | None) -> list[Told | ZmcacheError]:
        """See `Raw.change_many`."""
        parts = list(parts_of(changes, self.limits))
        told = await in_lanes(parts, self._change_some, self.timeout_s if timeout is None else timeout)
        return [
            how
            for part, hows in zip(parts, told, strict=True)
            for how in ([hows] * len(part) if isinstance(hows, MeshError) else hows)
        ]

    async def _change_some(self, changes: Sequence[Change], timeout: Duration | None) -> list[Told | ZmcacheError]:
        for change in changes:
            self._fence(change.key)
        told: list[Told | ZmcacheError] = []
        errands: list[Errand] = []
        try:
            errands += [self._errands.begin(change, timeout) for change in changes]
            for errand in errands:
                try:
                    told.append(await errand[2])
                except ZmcacheError as error:
                    told.append(error)
        except asyncio.CancelledError:
            discard(errand[2] for errand in errands)
            raise
        finally:
            for change in changes:
                self._fence(change.key)
                self.fences.changed(change)
        return told

    def post(self, change: Change) -> None:
        """See `Raw.post`."""
        self._errands.post(change)

    async def clear(self, timeout: Duration | None) -> None:
        """See `Raw.clear`."""
        try:
            await self._clear(self.name, timeout)
        finally:
            if self._near is not None:
                self._near.copies.forget(None)
            self.fences.cleared()

    async def invalidate_tags(self, tags: Sequence[str], timeout: Duration | None) -> None:
        """See `Raw.invalidate_tags`."""
        try:
            await self._invalidate(self.name, tags, timeout)
        except BaseException:
            if self._near is not None:
                self._near.copies.forget(None)  # who was not told does not tell
            raise
        finally:
            # What is being asked for or made may have these tags.
            self._asking.fence_all()
            self._peeking.fence_all()
            self.fences.cleared()

    def _changed(self, change: Change, status: int | None) -> None:
        self._fence(change.key)
        self.fences.changed(change, status)

    def _fence(self, key: str) -> None:
        self._asking.fence(key)
        self._peeking.fence(key)
        if self._near is not None:
            self._near.copies.forget(key)
