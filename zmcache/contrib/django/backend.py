"""The backend: what Django's threads call, each by the one connection of their process."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from zmcache import InvalidValue, PartialResult
from zmcache.codecs import Undecodable
from zmcache.contrib.django.awaited import Awaited
from zmcache.contrib.django.connections import connections
from zmcache.contrib.django.settings import is_over


class ZmcacheCache(Awaited):
    """See docs/django.md. Timeouts are seconds; None: for ever; zero or less: not kept, and what is there is deleted.

    What the cluster cannot do raises a `zmcache.MeshError`, or is a miss with ``on_error="miss"``.
    """

    def add(self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store it where nothing is; whether it was stored."""
        kept, data, ttl = self._key(key, version), self._values.encode(value), self.get_backend_timeout(timeout)
        group = connections.group(self._place)
        if is_over(ttl):
            # It would be stored, and be gone.
            return group.get(kept, self._missing_key) is self._missing_key
        return group.add(kept, data, ttl=ttl)

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """The value, which may be None; ``default`` where there is none."""
        data = connections.group(self._place).get(self._key(key, version), self._missing_key)
        return default if data is self._missing_key else self._read(data, default)

    def set(self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store it."""
        kept, data, ttl = self._key(key, version), self._values.encode(value), self.get_backend_timeout(timeout)
        group = connections.group(self._place)
        if is_over(ttl):
            group.delete(kept)
        else:
            group.set(kept, data, ttl=ttl)

    def touch(self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Give it another life from now on; whether it was there."""
        kept, ttl = self._key(key, version), self.get_backend_timeout(timeout)
        group = connections.group(self._place)
        return group.delete(kept) if is_over(ttl) else group.touch(kept, ttl=ttl)

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Delete it; whether it was there."""
        return connections.group(self._place).delete(self._key(key, version))

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Those that exist. Raises `zmcache.PartialResult`, with what was found, where some could not be asked for."""
        names = self._names(keys, version)
        try:
            found = connections.group(self._place).get_many(names)
        except PartialResult as error:
            raise self._partial(error, names) from error
        return self._read_many(found, names)

    def set_many(
        self, data: dict[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        """Store them all; the keys of those that were not."""
        names, ttl = self._names(data, version), self.get_backend_timeout(timeout)
        values = {kept: self._values.encode(data[name]) for kept, name in names.items()}
        group = connections.group(self._place)
        if is_over(ttl):
            group.delete_many(names)
            return []
        return [names[kept] for kept in group.set_many(values, ttl=ttl)]

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Delete them all."""
        connections.group(self._place).delete_many(self._names(keys, version))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to a whole number, in one step at its owner; the sum. Raises ValueError where nothing is, TypeError where it is something else."""
        kept = self._key(key, version)
        try:
            total = connections.group(self._place).incr(kept, delta)
        except InvalidValue as error:
            raise TypeError(f"the value of {key!r} is no whole number") from error
        if total is None:
            raise ValueError(f"Key '{key}' not found")
        return total

    def get_or_set(
        self, key: Any, default: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        """The value; where there is none, ``default``, or what it gives when called: once in the whole cluster for all who ask at the same time."""
        kept, ttl = self._key(key, version), self.get_backend_timeout(timeout)

        def make() -> Any:
            return default() if callable(default) else default

        group = connections.group(self._place)
        if is_over(ttl):
            data = group.get(kept, self._missing_key)
            return make() if data is self._missing_key else self._read(data, None)
        data = group.get_or_set(kept, lambda: self._values.encode(make()), ttl=ttl, lease=self._lease)
        try:
            return self._values.decode(data)
        except Undecodable:
            # Of another key or codec. There is no lease for that: who finds it at the same time makes it as well.
            value = make()
            self.set(key, value, timeout, version)
            return value

    def clear(self) -> None:
        """Empty the group on every node: what other entries of CACHES have there, whatever their prefix, is gone, too."""
        connections.group(self._place).clear()
