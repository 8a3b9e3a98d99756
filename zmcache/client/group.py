"""The calls of a client on one group. What happens to them on the way is in `zmcache.client.asking`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, TypeVar, overload

from zmcache.client.asking import Asking
from zmcache.client.bulk import discard, found_in
from zmcache.client.route import Route
from zmcache.core.calls import SOURCES, UNSET, Item, Ttl, ttl_to_ms
from zmcache.core.wire import DELETE, DONE, FROM_LOADER, SET, check_key, check_value
from zmcache.errors import PartialResult, ZmcacheError

T = TypeVar("T")
_new: Final = tuple.__new__


class ClientGroup:
    """A named cache in the cluster: ``client.group("items")``. Values are bytes. Safe to use from many tasks of one loop."""

    def __init__(self, name: str, route: Route, timeout_s: float, on_unreachable: Callable[[], None]) -> None:
        """``on_unreachable`` is called when a node could not be reached: the ring may have changed."""
        self.name = name
        self._route = route
        self._asking = Asking(name, route, timeout_s, on_unreachable)
        self._ask = self._asking.ask

    @overload
    async def get(self, key: str, *, timeout: float | None = None) -> bytes | None: ...
    @overload
    async def get(self, key: str, default: T, *, timeout: float | None = None) -> bytes | T: ...
    async def get(self, key: str, default: object = None, *, timeout: float | None = None) -> object:
        """The value of ``key``, loaded by its owner if need be; ``default`` when the loader does not know it.

        ``timeout`` (seconds; None: the client's) covers the whole call. Raises `InvalidKey`, `BackendError` or `MeshError`.
        """
        value, status, _ = await self._ask(key, timeout)
        return value if status <= FROM_LOADER else default

    async def fetch(self, key: str, *, timeout: float | None = None) -> Item | None:
        """As `get`, with the remaining life and the source of the value; None when the loader does not know the key."""
        value, status, life_ms = await self._ask(key, timeout)
        if value is None or status > FROM_LOADER:
            return None
        # The named tuple's own __new__ is a Python function, and takes as long as everything else here.
        return _new(Item, (value, None if life_ms < 0 else life_ms / 1000, SOURCES[status]))

    async def get_many(self, keys: Iterable[str], *, timeout: float | None = None) -> dict[str, bytes]:
        """The values of those keys that exist, in the order asked. Any number of keys: they travel in as many messages as it takes.

        Raises `PartialResult`, with what was found, when some keys failed.
        """
        wanted = self._checked(keys)
        bulks, futures = self._asking.ask_many(wanted, timeout)
        values: dict[str, bytes] = {}
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
                    if status <= FROM_LOADER:
                        values[key] = value  # type: ignore[assignment]  # the codec has held it against the status
        except asyncio.CancelledError:
            discard(futures.values())
            for bulk in bulks:
                discard([bulk.future, *bulk.futures])
            raise
        if errors:
            raise PartialResult(values, errors)
        return values if len(bulks) + bool(futures) < 2 else {key: values[key] for key in wanted if key in values}

    def _checked(self, keys: Iterable[str]) -> list[str]:
        """Each key once. Raises `InvalidKey`."""
        wanted = list(keys)
        limit = self._route.mesh.limits.key_bytes
        # All at once, in C, a tenth of what a loop takes; only what is not plain is looked at by itself.
        if not (set(map(type, wanted)) <= {str} and all(wanted) and all(map(str.isascii, wanted))) or (
            wanted and max(map(len, wanted)) > limit
        ):
            for key in wanted:
                check_key(key, limit)
        return list(dict.fromkeys(wanted))

    async def set(self, key: str, value: bytes, *, ttl: Ttl = UNSET, timeout: float | None = None) -> None:
        """Store ``value`` at the owner. ``ttl``: seconds or a timedelta; None: for ever; left out: the group's own.

        Raises `InvalidKey`, `ValueTooLarge`, `InvalidTtl` or `MeshError`.
        """
        check_value(value, self._route.mesh.limits.value_bytes)
        await self._asking.write(SET, key, value, ttl_to_ms(ttl), timeout)

    async def delete(self, key: str, *, timeout: float | None = None) -> bool:
        """Delete ``key`` at its owner; whether it was there. Raises `InvalidKey` or `MeshError`."""
        return await self._asking.write(DELETE, key, b"", 0, timeout) == DONE
