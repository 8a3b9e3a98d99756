"""The backend's calls awaited, by the running loop's own connection; nothing of it runs in threads.

Values are pickled on the loop. One that asks the database for that, such as a queryset, is refused there by Django: await it first.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from zmcache import InvalidValue, PartialResult
from zmcache.codecs import Undecodable
from zmcache.contrib.django.connections import Group, connections
from zmcache.contrib.django.settings import Configured, is_over


class Awaited(Configured):
    """See the module's docstring. Each does what the call without its ``a`` does, in `zmcache.contrib.django.backend`."""

    async def aadd(
        self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """See `add`."""
        kept, data, ttl = self._key(key, version), self._values.encode(value), self.get_backend_timeout(timeout)
        group = await self._here()
        if is_over(ttl):
            return await group.get(kept, self._missing_key) is self._missing_key
        return await group.add(kept, data, ttl=ttl)

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """See `get`."""
        kept = self._key(key, version)
        data = await (await self._here()).get(kept, self._missing_key)
        return default if data is self._missing_key else self._read(data, default)

    async def aset(
        self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> None:
        """See `set`."""
        kept, data, ttl = self._key(key, version), self._values.encode(value), self.get_backend_timeout(timeout)
        group = await self._here()
        await (group.delete(kept) if is_over(ttl) else group.set(kept, data, ttl=ttl))

    async def atouch(self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """See `touch`."""
        kept, ttl = self._key(key, version), self.get_backend_timeout(timeout)
        group = await self._here()
        return await (group.delete(kept) if is_over(ttl) else group.touch(kept, ttl=ttl))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """See `delete`."""
        kept = self._key(key, version)
        return await (await self._here()).delete(kept)

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """See `get_many`."""
        names = self._names(keys, version)
        try:
            found = await (await self._here()).get_many(names)
        except PartialResult as error:
            raise self._partial(error, names) from error
        return self._read_many(found, names)

    async def aset_many(
        self, data: dict[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """See `set_many`."""
        names, ttl = self._names(data, version), self.get_backend_timeout(timeout)
        values = {kept: self._values.encode(data[name]) for kept, name in names.items()}
        group = await self._here()
        if is_over(ttl):
            await group.delete_many(names)
            return []
        return [names[kept] for kept in await group.set_many(values, ttl=ttl)]

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """See `delete_many`."""
        names = self._names(keys, version)
        await (await self._here()).delete_many(names)

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """See `incr`."""
        kept = self._key(key, version)
        group = await self._here()
        try:
            total = await group.incr(kept, delta)
        except InvalidValue as error:
            raise TypeError(f"the value of {key!r} is no whole number") from error
        if total is None:
            raise ValueError(f"Key '{key}' not found")
        return total

    async def aget_or_set(
        self, key: Any, default: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """See `get_or_set`. ``default`` may be an ``async def`` here."""

        async def make() -> Any:
            value = default() if callable(default) else default
            return await value if inspect.isawaitable(value) else value

        async def make_data() -> bytes | None:
            return self._values.encode(await make())

        kept, ttl = self._key(key, version), self.get_backend_timeout(timeout)
        group = await self._here()
        if is_over(ttl):
            data = await group.get(kept, self._missing_key)
            return await make() if data is self._missing_key else self._read(data, None)
        data = await group.get_or_set(kept, make_data, ttl=ttl, lease=self._lease)
        try:
            return self._values.decode(data)
        except Undecodable:
            value = await make()
            await self.aset(key, value, timeout, version)
            return value

    async def aclear(self) -> None:
        """See `clear`."""
        await (await self._here()).clear()

    async def aclose(self, **kwargs: Any) -> None:
        """Close this loop's connection. It is closed by itself where the loop ends."""
        await connections.close_here(self._place)

    async def _here(self) -> Group:
        return await connections.group_here(self._place)
