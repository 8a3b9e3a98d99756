"""The calls on one group, as programs make them: the same over a cluster and in one process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any, ParamSpec, TypeVar, overload

from zmcache.cache.away import Away
from zmcache.cache.cached import Cached
from zmcache.cache.filling import Filling
from zmcache.cache.made import Made
from zmcache.cache.making import DEFAULT_LEASE_S, making
from zmcache.cache.raw import Raw
from zmcache.cache.writing import Writing
from zmcache.codecs import Codec
from zmcache.core.calls import UNSET, Duration, Item, Ttl
from zmcache.core.calltags import CallTags, TagsOf
from zmcache.core.keys import Keys
from zmcache.core.wire import check_key

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")


class CacheGroup(Writing[T]):
    """A named cache: ``cache.group("items")``. Values are bytes, or what its codec carries. Safe to use from many tasks of one loop."""

    def __init__(self, raw: Raw, codec: Codec[T] | None, away: Away) -> None:
        super().__init__(raw, codec, away)
        self._filling: Filling[T] = Filling(raw, codec, away)

    @overload
    async def get_or_set(
        self,
        key: str,
        fill: Callable[[], Awaitable[T]],
        *,
        ttl: Ttl = UNSET,
        tags: Iterable[str] = (),
        stale_ttl: Duration | None = None,
        stale_if_error: Duration | None = None,
        lease: Duration = DEFAULT_LEASE_S,
        timeout: Duration | None = None,
    ) -> T: ...
    @overload
    async def get_or_set(
        self,
        key: str,
        fill: Callable[[], T],
        *,
        ttl: Ttl = UNSET,
        tags: Iterable[str] = (),
        stale_ttl: Duration | None = None,
        stale_if_error: Duration | None = None,
        lease: Duration = DEFAULT_LEASE_S,
        timeout: Duration | None = None,
    ) -> T: ...
    async def get_or_set(self, key: str, fill: Callable[[], Any], **how: Any) -> Any:
        """The value of ``key``; where there is none, what ``fill()`` makes, which is kept. It runs once in the whole cluster, for all who ask.

        ttl             how long it is kept; left out: the group's own.
        tags            names by which it can be invalidated together with others (`invalidate_tags`), 32 at the most.
        stale_ttl       how long beyond that it is still given while one caller makes it anew, in the background.
        stale_if_error  how long beyond its life it is given when making it anew fails.
        lease           how long this caller may take; then another makes it, too. A little more than ``fill`` ever takes.
        timeout         for each question to the cache; ``fill`` runs outside it, and so does waiting for another's.

        Raises what ``fill`` raises, in every caller that waits for it here; `RecursiveFill` where it would wait for itself; `MeshError`.
        What cannot be kept (too large, say) is given all the same, and logged.
        """
        return (await self._made(key, fill, how)).value

    async def fetch_or_set(
        self,
        key: str,
        fill: Callable[[], Awaitable[T]] | Callable[[], T],
        *,
        ttl: Ttl = UNSET,
        tags: Iterable[str] = (),
        stale_ttl: Duration | None = None,
        stale_if_error: Duration | None = None,
        lease: Duration = DEFAULT_LEASE_S,
        timeout: Duration | None = None,
    ) -> Item[T]:
        """As `get_or_set`, with what remains of the value's life and where it came from: ``source`` is ``"stale"`` for one past its life."""
        how = {
            "ttl": ttl,
            "tags": tags,
            "stale_ttl": stale_ttl,
            "stale_if_error": stale_if_error,
            "lease": lease,
            "timeout": timeout,
        }
        return (await self._made(key, fill, how)).item()

    async def _made(self, key: str, fill: Callable[[], Any], how: dict[str, Any]) -> Made:
        check_key(key, self._raw.limits.key_bytes)
        return await self._filling.get(key, fill, making(**how))

    def cached(
        self,
        *,
        ttl: Ttl = UNSET,
        key: str | Callable[..., str] | None = None,
        ignore: Collection[str] = (),
        tags: TagsOf = (),
        stale_ttl: Duration | None = None,
        stale_if_error: Duration | None = None,
        negative_ttl: Ttl = UNSET,
        condition: Callable[[Any], object] | None = None,
        lease: Duration = DEFAULT_LEASE_S,
        timeout: Duration | None = None,
    ) -> Callable[[Callable[P, Awaitable[R]]], Cached[P, R]]:
        """A decorator: results are kept under a key made from the arguments, and made once in the whole cluster.

        key           a template of the parameters, ``"user:{user_id}"``, or a function of them. None: the function's name and all arguments.
        ignore        parameters that do not belong in the key, such as a session.
        tags          templates of the parameters, ``["user:{user_id}"]``, or a function of them that gives tags. They may leave parameters out.
        negative_ttl  how long a None is kept; 0: not at all; left out: like any other result. Stale, it is given for as long again at most.
        condition     a result is kept only where ``condition(result)`` is true.

        The rest as in `get_or_set`. Raises `ConfigError` where no key can be made for every call.
        """
        how = making(
            ttl=ttl,
            stale_ttl=stale_ttl,
            stale_if_error=stale_if_error,
            negative_ttl=negative_ttl,
            condition=condition,
            lease=lease,
            timeout=timeout,
        )

        def decorate(function: Callable[P, Awaitable[R]]) -> Cached[P, R]:
            call_tags = CallTags(function, tags)
            keys = Keys(function, key, ignore, limit=self._raw.limits.key_bytes)
            return Cached(function, self._filling, keys, call_tags, how, self.delete)

        return decorate

    async def aclose(self) -> None:
        """End the fills that are under way, and begin none any more; for the connection to call."""
        await self._filling.aclose()
