"""The near cache: copies in this process of popular keys, which their owners keep honest.

A get of a popular key asks its owner to tell when the value changes (`KEEPS`), and keeps what the owner answers. A copy is given as long as
nothing was told, the session with its owner is good (`zmcache.peers.following`), and no longer than the value's own life or ``ttl_s``.

So what a get finds here was the owner's value at most `SILENCE_S` ago, whatever is lost, late or suspended; usually as long ago as a message takes.
One's own changes are seen at once. While owners are in doubt, because nodes have different rings or cannot reach one another, a copy may be as old as
``ttl_s``, besides what its owner itself has missed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final, NamedTuple

from zmcache.cache.raw import NearStatistics, Row
from zmcache.client.asking import Asking
from zmcache.client.bulk import Bulk
from zmcache.client.route import Route
from zmcache.core.admission import Admission
from zmcache.core.calls import Duration
from zmcache.core.explained import NEAR, Kept
from zmcache.core.relying import Relying, Teller
from zmcache.core.store import Store
from zmcache.core.wire import FOREVER, FROM_HOT, FROM_LOADER, FROM_OWNER, NOT_OWNER, OLD_FLAG, TAGS_FLAG, Answer, News
from zmcache.peers.batch import Batch
from zmcache.peers.following import Session, Sessions

_FROM_OWNER: Final = (FROM_OWNER, FROM_LOADER)
DEFAULT_NEAR_TTL_S: Final = 10.0
_WINDOW_S: Final = 1.0  # or the copies' lives, where these are longer
_ITEM_SHARE: Final = 0.125  # of the copies' room, for one of them
_LEAST_PRUNED: Final = 1000


class Near:
    """The copies of one group."""

    def __init__(
        self, budget_bytes: int, ttl_s: float, route: Route, sessions: Sessions, clock: Callable[[], float]
    ) -> None:
        # A hit is a bit that is set: what is popular has been found out before it is kept.
        self._cache = Store(budget_bytes, "sieve", _ITEM_SHARE)
        self._admission = Admission(max(ttl_s, _WINDOW_S))
        self._ttl_s = ttl_s
        self._route = route
        self._sessions = sessions
        self._clock = clock
        self._relying = Relying(self._cache)
        self._asked: dict[str, tuple[Batch, Session, int, float]] = {}
        self._asked_most = _LEAST_PRUNED
        self._told_old = self._lost = self._misses = 0
        # Once owners have been silent for too long nothing is there, whatever this loop has noticed until now.
        self.read: Callable[[str], bytes | None] = self._cache.reader(
            clock, lambda _, default: default, lambda _: None, self._relying.good_until_s
        )
        """The copy of a key. About 0.3 us."""

    def found(self, keys: list[str]) -> dict[str, bytes]:
        """The copies of these that are here. About 0.2 us a key."""
        now_s = self._clock()
        if not len(self._cache) or now_s >= self._relying.good_until_s[0]:
            return {}
        values, _ = self._cache.get_many(keys, now_s)
        return {key: value for key, value in zip(keys, values, strict=True) if type(value) is bytes}

    def row(self, key: str) -> Row | None:
        """The same, with its life."""
        value = self.read(key)
        if value is None:
            return None
        now_s = self._clock()
        entry = self._cache.lookup(key, now_s)
        return None if entry is None else (value, FROM_HOT, max(1, round((entry[1] - now_s) * 1000)))

    def look(self, key: str) -> Kept | None:
        """What is here of ``key``, for who wonders: it counts as no use."""
        now_s = self._clock()
        entry = self._cache.peek(key, now_s)
        if entry is None or now_s >= self._relying.good_until_s[0]:
            return None
        value, ends_s, asked_ms = entry
        left_s = ends_s - now_s
        return Kept(where=NEAR, age_s=max(0.0, now_s - asked_ms / 1000), ttl_s=left_s, kept_s=left_s, size=len(value))

    def wants(self, key: str) -> bool:
        """Whether the answer to a get of ``key`` that begins now is to be kept: the owner is to be asked for news of it. About 0.4 us."""
        self._misses += 1
        now_s = self._clock()
        if now_s >= self._relying.good_until_s[0]:
            self._lost += self._relying.drop_silent(now_s)
        if not self._admission.admits(key, now_s):
            if now_s >= self._admission.due_s:
                self._learn(now_s)  # or what admits nobody would never hear that it is time to
            return False
        try:
            channel = self._route.owner_channel(key)
        except LookupError:
            return False  # there is no ring yet, which is to be said where it is asked for
        session = self._sessions.of(channel)
        return session.is_good and channel.preferred

    def asked(self, key: str, batch: Batch) -> None:
        """It is asked for in this batch, and no other's answer is to be kept: it may be of before one's own change."""
        if len(self._asked) >= self._asked_most:
            # Of those that were cancelled nobody told us.
            self._asked = {each: asked for each, asked in self._asked.items() if asked[0].open or asked[0].unanswered}
            self._asked_most = 2 * len(self._asked) + _LEAST_PRUNED
        session = self._sessions.of(batch.channel)
        self._asked[key] = batch, session, session.life, self._clock()

    def offer(self, batch: Batch, answer: Answer) -> None:
        """What came of gets that wanted to keep it."""
        now_s = self._clock()
        foreign = answer.flags & NOT_OWNER
        kept = batch.kept or {}
        # Where each stands in the answer, and in the question.
        places = ((at, at) for at in kept) if answer.positions is None else enumerate(answer.positions)
        for place, at in places:
            if at not in kept:
                continue
            key = batch.keys[at]
            asked = self._asked.get(key)
            if place >= len(answer.statuses) or asked is None or asked[0] is not batch:
                continue
            status, value, life_ms = answer.statuses[place], answer.values[place], answer.lives_ms[place]
            flags = answer.value_flags[place] if answer.value_flags else 0
            del self._asked[key]
            _, session, life, asked_s = asked
            is_kept = status in _FROM_OWNER and isinstance(value, bytes) and not foreign and not flags & TAGS_FLAG
            if not is_kept or session.life != life or not session.is_good or not self._is_owners(batch, key):
                continue
            ends_s = math.inf if life_ms == FOREVER else now_s + life_ms / 1000
            # Its time counts from the question: the answer may have lain here while the process was suspended.
            assert isinstance(value, bytes)
            # No two copies are ever compared, so the place of the version is free.
            if self._cache.set(key, value, min(ends_s, asked_s + self._ttl_s), now_s, int(asked_s * 1000)):
                if session not in self._relying:
                    session.relied_on_by(self)
                self._relying.rely(session, key, now_s)
        self._learn(now_s)

    def _learn(self, now_s: float) -> None:
        told = self._cache.statistics()
        self._admission.learn(told.entries, told.evictions, told.hits, now_s)

    def give_up(self, batch: Batch) -> None:
        """Nothing more comes of it."""
        for key in [batch.keys[at] for at in batch.kept or ()]:
            if key in self._asked and self._asked[key][0] is batch:
                del self._asked[key]

    def _is_owners(self, batch: Batch, key: str) -> bool:
        mesh = self._route.mesh
        return mesh.by_index[mesh.ring.owner_index(key)] is batch.channel

    def forget(self, key: str | None) -> None:
        """One's own change of ``key``, or (None) of all."""
        if key is None:
            self.drop_all()
        else:
            self._asked.pop(key, None)
            self._cache.delete(key, self._clock())

    def drop_all(self) -> None:
        """The group was emptied, or keys have other owners, who tell us nothing."""
        for session in {*self._relying, *(asked[1] for asked in self._asked.values())}:
            self._drop(session)

    # -- from the owners -------------------------------------------------------------------------------------------

    def on_news(self, session: Session, news: News) -> None:
        """See `Listener`."""
        now_s = self._clock()
        for key, flags in zip(news.keys, news.value_flags, strict=True):
            if flags & OLD_FLAG:
                self._asked.pop(key, None)
                self._told_old += self._cache.delete(key, now_s)

    def on_old(self, session: Session) -> None:
        """See `Listener`."""
        self._drop(session)

    def on_lost(self, session: Session) -> None:
        """See `Listener`."""
        self._drop(session)

    def on_heard(self, session: Session) -> None:
        """See `Listener`."""
        self._relying.heard()

    def _drop(self, session: Teller) -> None:
        self._lost += self._relying.drop(session, self._clock())
        for key in [key for key, asked in self._asked.items() if asked[1] is session]:
            del self._asked[key]

    def statistics(self) -> NearStatistics:
        """A snapshot."""
        told = self._cache.statistics()
        return NearStatistics(told.hits, self._misses, told.entries, told.used_bytes, self._told_old, self._lost)


class NearSettings(NamedTuple):
    """``budget_bytes`` for the copies of one group, each of which lives for ``ttl_s`` at most."""

    budget_bytes: int
    ttl_s: float


class NearGets:
    """The gets of a group that keeps copies: of popular keys what is answered is kept."""

    def __init__(
        self, settings: NearSettings, name: str, route: Route, sessions: Sessions, asking: Asking, peeking: Asking
    ) -> None:
        self.copies = copies = Near(settings.budget_bytes, settings.ttl_s, route, sessions, route.mesh.clock)
        sessions.add(name, copies)
        self._loop = asyncio.get_running_loop()
        self._asking, self._peeking = asking, peeking
        asking.keeper = peeking.keeper = copies

    def get(self, key: str, timeout: Duration | None) -> asyncio.Future[Row]:
        """See `Raw.get`."""
        row = self.copies.row(key) if type(key) is str else None
        if row is not None:
            future: asyncio.Future[Row] = self._loop.create_future()
            future.set_result(row)
            return future
        return self.get_far(key, timeout)

    def get_far(self, key: str, timeout: Duration | None) -> asyncio.Future[Row]:
        """See `Raw.get_far`."""
        return self._asking.ask(key, timeout, keep=type(key) is str and self.copies.wants(key))

    def peek(self, key: str, timeout: Duration | None) -> asyncio.Future[Row]:
        """See `Raw.peek`."""
        return self._peeking.ask(key, timeout, keep=type(key) is str and self.copies.wants(key))

    def ask_many(self, keys: list[str], timeout: Duration | None) -> tuple[list[Bulk], dict[str, asyncio.Future[Row]]]:
        """See `Asking.ask_many`. Those that are not here: each is counted."""
        return self._asking.ask_many(keys, timeout, set(filter(self.copies.wants, keys)))
