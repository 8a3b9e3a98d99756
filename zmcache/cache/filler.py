"""The way of one fill, from the question to the answer.

1. Ask the owner (`FILL`): for the value, or for the lease to make it, or for a wait until somebody else has made it. The wait is cut into
   pieces that the call's timeout covers, since making takes as long as it takes. When lease after lease ends and nobody brings the value, it is
   made here without one, and not kept.
2. With the lease: run the caller's function, outside every timeout.
3. Send what it made (`zmcache.cache.keeping`). The owner keeps it unless a set or a delete came between, or another was quicker.
4. When the function raises, or what it made is not to be kept, the lease is given back, so that the next in line tries; who waits here gets
   what was raised, or the old value, where the group still had one for that case.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Generic, TypeVar

from zmcache.cache.away import Away
from zmcache.cache.complaints import Complaints
from zmcache.cache.flights import Flight
from zmcache.cache.keeping import Keeping
from zmcache.cache.made import Fill, Made, called, is_value
from zmcache.cache.making import Making
from zmcache.cache.pauses import Pauses
from zmcache.cache.raw import Raw, Told
from zmcache.cache.underway import Run, running
from zmcache.codecs import Codec, Undecodable
from zmcache.core.calls import SOURCES
from zmcache.core.tokens import token_of
from zmcache.core.wire import DUE, FILL, FILLING, LEASED, LEASED_NONE, PUT, RELEASE, Change, check_value, room_for_value
from zmcache.errors import LoaderFailed, MeshError, ProtocolError

T = TypeVar("T")

# How many leases' time a caller waits for others to make a value, before it makes it itself.
_PATIENCE_LEASES: Final = 3
# An owner that sends askers away is asked again, but not faster than this: it may be one that does nothing else.
_QUICK_S: Final = 0.02

AWAY: Final = (MeshError, ProtocolError)


class Filler(Generic[T]):
    """What the flights of one group do. ``fills``: how often a function ran; ``failures``: how often one raised."""

    def __init__(self, raw: Raw, codec: Codec[T] | None, away: Away, pauses: Pauses, complain: Complaints) -> None:
        self._raw = raw
        self._codec = codec
        self._away = away
        self._clock = away.clock
        self._pauses = pauses
        self._complain = complain
        self.keeping = Keeping(raw, away, complain)
        self.fills = self.failures = self.refreshes = 0

    def made(self, value: bytes | None, status: int, life_ms: int) -> Made:
        """Of what an answer has brought. Raises `Undecodable`."""
        source = SOURCES.get(status, "owner")
        # What is due may still be fresh, and be made anew only because it is popular.
        return Made(self._decoded(value), "owner" if status == DUE and life_ms != 0 else source, life_ms)

    def _decoded(self, value: bytes | None) -> Any:
        return value if self._codec is None or value is None else self._codec.decode(value)

    # -- 1 ---------------------------------------------------------------------------------------------------------

    async def fill(self, key: str, fill: Fill[T | None], how: Making, flight: Flight[Made], anew: int = 0) -> Made:
        """The whole way. ``anew``: as the token of a FILL, which value is not wanted though it is fresh."""
        began_s, lease_s = self._clock(), how.lease_ms / 1000
        while True:
            asked_s = self._clock()
            try:
                value, status, life_ms, token = await self._ask(key, how, anew)
            except AWAY as error:
                flight.unanswered_s = asked_s
                self._away.note(self._raw.name, error)
                flight.unanswered_s = None
                return await self.alone(key, fill, how, flight)
            if status in (LEASED, LEASED_NONE):
                old = Made(value, "stale", 0) if value is not None or status == LEASED_NONE else None
                return await self._make(key, fill, how, flight, token, old)
            if status == FILLING:
                # What remains of the holder's lease, which need not be as long as one's own would be.
                lease_s = max(lease_s, life_ms / 1000)
                if self._clock() - began_s > _PATIENCE_LEASES * lease_s + 1.0:
                    self._complain("%d leases for %r ended, and nobody has brought it", _PATIENCE_LEASES, key)
                    return await self.alone(key, fill, how, flight)
                if self._clock() - asked_s < _QUICK_S:
                    await asyncio.sleep(_QUICK_S)
                continue
            try:
                return self.made(value, status, life_ms)
            except Undecodable:
                # Brought meanwhile by a program with another codec. Once it is asked to give way; then both have to live with it.
                if anew:
                    return await self.alone(key, fill, how, flight)
                anew = token_of(value)

    async def _ask(self, key: str, how: Making, anew: int) -> Told:
        told = await self._raw.change(Change(FILL, key, b"", how.lease_ms, anew), how.timeout)
        if not (is_value(told[1]) or told[1] in (LEASED, LEASED_NONE, FILLING)):
            raise ProtocolError(f"status {told[1]} does not answer a FILL")
        return told

    async def refresh(self, key: str, fill: Fill[T | None], how: Making, flight: Flight[Made]) -> Made:
        """In the background: make it anew if nobody else does."""
        try:
            value, status, life_ms, token = await self._ask(key, how, 0)
            if status not in (LEASED, LEASED_NONE):
                return Made(None, "stale", 0) if status == FILLING else self.made(value, status, life_ms)
            self.refreshes += 1
            return await self._make(key, fill, how, flight, token, None)
        except Exception as error:
            self._pauses.begin(key)
            self._complain(
                "the refresh of %r failed, its old value serves on: %s: %s", key, type(error).__name__, error
            )
            raise

    # -- 2 to 4 ----------------------------------------------------------------------------------------------------

    async def alone(self, key: str, fill: Fill[T | None], how: Making, flight: Flight[Made]) -> Made:
        """Without the cache: what is made is for those who wait here, and not kept."""
        return Made(await self._run(key, fill, how, flight), "fill")

    async def _make(
        self, key: str, fill: Fill[T | None], how: Making, flight: Flight[Made], token: int, old: Made | None
    ) -> Made:
        serves = self._serving(old, how)
        if serves is not None and not flight.anew and key in self._pauses:
            self._raw.post(Change(RELEASE, key, token=token))
            return serves
        began_s = self._clock()
        try:
            value = await self._run(key, fill, how, flight)
            is_kept = self._is_kept(value, how)
        except BaseException as error:
            # Not awaited: this may be a cancellation.
            self._raw.post(Change(RELEASE, key, token=token))
            if serves is None or not isinstance(error, Exception):
                raise
            self._pauses.begin(key)
            self._complain("the fill of %r failed, its old value serves: %s: %s", key, type(error).__name__, error)
            return serves._replace(error=error)
        put = self._put(key, value, how, token, self._clock() - began_s) if is_kept else None
        if put is None:
            self._raw.post(Change(RELEASE, key, token=token))
            if flight.background:
                self._pauses.begin(key)
            return Made(value, "fill")
        self._pauses.end(key)
        return Made(value, "fill", await self.keeping.keep(put, how))

    def _serving(self, old: Made | None, how: Making) -> Made | None:
        """What serves when the function fails."""
        if old is None or not how.error_ms:
            return None
        try:
            return old._replace(value=self._decoded(old.value))
        except Undecodable:
            return None

    def _is_kept(self, value: T | None, how: Making) -> bool:
        if value is None and how.none_ttl_ms == 0:
            return False
        return how.condition is None or bool(how.condition(value))

    def _put(self, key: str, value: T | None, how: Making, token: int, took_s: float) -> Change | None:
        """None: it cannot be kept. It is there, and its callers get it, as they do when the owner refuses it."""
        data: Any = None
        ttl_ms, stale_ms, error_ms = how.ttl_ms, how.stale_ms, how.error_ms
        if value is not None:
            try:
                data = value if self._codec is None else self._codec.encode(value)
                check_value(data, room_for_value(self._raw.limits, how.tags))
            except Exception as error:
                self._complain("what was made for %r cannot be stored: %s: %s", key, type(error).__name__, error)
                return None
        elif how.none_ttl_ms is not None:
            ttl_ms = how.none_ttl_ms
            if ttl_ms > 0:
                # Who says how long "there is none" may be believed does not want to hear it for an hour longer.
                stale_ms, error_ms = min(stale_ms, ttl_ms), min(error_ms, ttl_ms)
        took_ms = max(1, int(took_s * 1000))
        return Change(PUT, key, data, ttl_ms, token, stale_ms, error_ms, took_ms, tags=how.tags)

    async def _run(self, key: str, fill: Fill[T | None], how: Making, flight: Flight[Made]) -> T | None:
        self.fills += 1
        flight.run = Run(self._raw, key)
        flight.begin_lease(how.lease_ms / 1000)
        try:
            with running(flight.run):
                return await called(fill)
        except asyncio.CancelledError as error:
            if flight.dropped:
                raise
            # By something of its own. Those who wait were not cancelled, and must not look as if.
            self.failures += 1
            raise LoaderFailed(f"the function that makes {key!r} was cancelled by something of its own") from error
        except Exception:
            self.failures += 1
            raise
        finally:
            flight.end_lease()
            flight.run = None
