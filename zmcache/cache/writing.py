"""Changes: set, add, cas, touch, incr, delete, and many at once.

What must not be done twice (`add`, `incr`, `cas`) is sent once: when no answer came back, it raises `OutcomeUnknown`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from zmcache.cache.raw import Told
from zmcache.cache.reading import Reading
from zmcache.codecs import reads_counters
from zmcache.core.calls import UNSET, Duration, Ttl, many_keys, ttl_to_ms
from zmcache.core.tags import check_tag, joined_tags
from zmcache.core.wire import (
    ADD,
    CAS,
    DELETE,
    DONE,
    INCR,
    NOT_THERE,
    SET,
    TOUCH,
    Change,
    check_key,
    check_value,
    room_for_value,
)
from zmcache.errors import MeshError, ProtocolError, RequestError, ZmcacheError

T = TypeVar("T")

_MAX_INT: Final = 1 << 1024


class Writing(Reading[T]):
    """The writes of a group. ``ttl``: seconds, a timedelta or text like "1h30m"; None: for ever; left out: the group's own. ``tags``: names by
    which it can be invalidated together with others, 32 at the most.

    Each raises `InvalidKey`, and with a value, a ttl or tags `InvalidValue`, `ValueTooLarge`, `InvalidTtl` or `InvalidTag`, before anything
    is sent; `MeshError` where it could not be done.
    """

    async def set(
        self, key: str, value: T | None, *, ttl: Ttl = UNSET, tags: Iterable[str] = (), timeout: Duration | None = None
    ) -> None:
        """Store ``value`` at the owner. A value may be None."""
        await self._told(self._tagged(SET, key, value, ttl_to_ms(ttl), joined_tags(tags)), timeout)

    async def set_many(
        self,
        values: Mapping[str, T | None],
        *,
        ttl: Ttl = UNSET,
        tags: Iterable[str] = (),
        timeout: Duration | None = None,
    ) -> list[str]:
        """Store them all, in as many messages as it takes; the keys that the cluster failed to store. The first cause is logged.

        Raises for what is wrong with the arguments before anything is sent; for what a node finds wrong with them, such as a group that it
        does not know or a value that is too large for the group, when all have been tried.
        """
        ttl_ms, joined = ttl_to_ms(ttl), joined_tags(tags)
        changes = [self._tagged(SET, key, value, ttl_ms, joined) for key, value in values.items()]
        told = await self._changed_all(changes, timeout)
        failed = {change.key: how for change, how in zip(changes, told, strict=True) if isinstance(how, MeshError)}
        if failed:
            self._away.tell(self.name, next(iter(failed.values())))
        return list(failed)

    async def add(
        self, key: str, value: T | None, *, ttl: Ttl = UNSET, tags: Iterable[str] = (), timeout: Duration | None = None
    ) -> bool:
        """Store ``value`` where there is none; whether it was stored. Raises `OutcomeUnknown` when that cannot be told."""
        told = await self._told(self._tagged(ADD, key, value, ttl_to_ms(ttl), joined_tags(tags)), timeout)
        return told is not None and told[1] == DONE

    async def delete(self, key: str, *, timeout: Duration | None = None) -> bool:
        """Delete ``key`` at its owner; whether it was there."""
        told = await self._told(Change(DELETE, self._checked(key)), timeout)
        return told is not None and told[1] == DONE

    async def delete_many(self, keys: Iterable[str], *, timeout: Duration | None = None) -> int:
        """Delete them all; how many were there. Raises the first failure, when all have been tried."""
        checked = [self._checked(key) for key in many_keys(keys)]
        told = await self._changed_all([Change(DELETE, key) for key in dict.fromkeys(checked)], timeout)
        for how in told:
            if isinstance(how, MeshError):
                self._away.note(self.name, how)
                break
        return sum(how[1] == DONE for how in told if not isinstance(how, MeshError))

    async def touch(self, key: str, *, ttl: Ttl = UNSET, timeout: Duration | None = None) -> bool:
        """Give what is there another life from now on; whether it was there. A time in which it may be stale stays with it."""
        told = await self._told(Change(TOUCH, self._checked(key), b"", ttl_to_ms(ttl)), timeout)
        return told is not None and told[1] == DONE

    async def incr(
        self,
        key: str,
        delta: int = 1,
        *,
        initial: int | None = None,
        ttl: Ttl = UNSET,
        timeout: Duration | None = None,
    ) -> int | None:
        """Add ``delta``, which may be negative, to an entry that is an ASCII integer; the sum. It keeps its life.

        Where nothing is there, ``initial`` is stored, with this ``ttl``, and returned; None: nothing is done, and None is returned. Raises
        `OutcomeUnknown` when it cannot be told whether it was done, `InvalidValue` when the entry is no integer, `RequestError` in a group
        whose codec would read a counter as something else: raw and json read it.
        """
        if not reads_counters(self._codec):
            raise RequestError(f"incr is for groups with the codec raw or json, not {self._codec.name}")  # type: ignore[union-attr]  # not None
        numbers = (delta,) if initial is None else (delta, initial)
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int) or abs(number) > _MAX_INT:
                raise RequestError(f"an increment is a whole number of 1024 bits at most, not {type(number).__name__}")
        value = b" ".join(b"%d" % number for number in numbers)
        told = await self._told(Change(INCR, self._checked(key), value, ttl_to_ms(ttl)), timeout)
        if told is None or told[0] is None:
            return None
        try:
            return int(told[0])
        except ValueError:
            self._away.note(self.name, ProtocolError("asked for a sum, got what is no number"))
            return None

    async def cas(
        self, key: str, value: T | None, token: int, *, ttl: Ttl = UNSET, timeout: Duration | None = None
    ) -> bool | None:
        """Store ``value`` if the entry is still the one that `gets` told ``token`` of. False: it has changed; None: it is gone.

        Raises `OutcomeUnknown` when it cannot be told. An entry that was changed and changed back counts as unchanged.
        """
        if isinstance(token, bool) or not isinstance(token, int) or not 0 < token < 1 << 64:
            raise RequestError("a token is what gets returned beside the value")
        change = Change(CAS, key, self._encoded(key, value), ttl_to_ms(ttl), token)
        told = await self._told(change, timeout)
        return None if told is None or told[1] == NOT_THERE else told[1] == DONE

    async def invalidate_tags(self, *tags: str, timeout: Duration | None = None) -> None:
        """Forget every entry that has one of these tags: one small message to each node, however many entries there are.

        What was set before this began is not found any more when it returns. What a function was making meanwhile, in `get_or_set` or `cached`, is
        not kept either, so that the next who asks makes it anew. What is set while this is under way may stay.

        Raises `InvalidTag` before anything is sent; `NotAllTold` where some nodes could not be reached: they hear of it from the others, and
        until then may give what is old (docs/client.md says for how long); any other `MeshError` where nobody could be told.
        """
        for tag in tags:
            check_tag(tag)
        try:
            if tags:
                await self._raw.invalidate_tags(tags, timeout)
        except MeshError as error:
            self._away.note(self.name, error)

    async def clear(self, *, timeout: Duration | None = None) -> None:
        """Empty the group on every node: what was there when this began is gone when it returns, what is set meanwhile may be.

        Raises `NotAllTold` where some nodes could not be reached: they are emptied when they hear of it from the others.
        """
        try:
            await self._raw.clear(timeout)
        except MeshError as error:
            self._away.note(self.name, error)

    async def _told(self, change: Change, timeout: Duration | None) -> Told | None:
        """None: the cache is away, and that is to be a miss."""
        try:
            return await self._raw.change(change, timeout)
        except MeshError as error:
            self._away.note(self.name, error)
            return None

    async def _changed_all(self, changes: list[Change], timeout: Duration | None) -> list[Told | MeshError]:
        """How each went. Raises what is wrong with the call, or with one of its keys, when all have been tried."""
        told = await self._raw.change_many(changes, timeout)
        for how in told:
            if isinstance(how, ZmcacheError) and not isinstance(how, MeshError):
                raise how
        return told  # type: ignore[return-value]  # what else there may be was raised

    def _checked(self, key: str) -> str:
        check_key(key, self._raw.limits.key_bytes)
        return key

    def _tagged(self, kind: int, key: str, value: T | None, ttl_ms: int, tags: str) -> Change:
        data = self._encoded(key, value)
        if tags and data is not None:
            check_value(data, room_for_value(self._raw.limits, tags))
        return Change(kind, key, data, ttl_ms, tags=tags)

    def _encoded(self, key: str, value: T | None) -> bytes | None:
        """As it travels. None is marked there, not encoded: a codec never sees it."""
        check_key(key, self._raw.limits.key_bytes)
        if value is None:
            return None
        data = value if self._codec is None else self._codec.encode(value)
        check_value(data, self._raw.limits.value_bytes)
        return data  # type: ignore[return-value]  # checked
