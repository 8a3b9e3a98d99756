"""The keys of one group that this client watches, and at which owner each is watched: kept in step with the ring by one task.

The task runs while anything is watched. It asks the owner of each key by the ring as it is, once the session with it is good, and again when the
session has lost something, or the key has another owner. What is there then comes as the first news of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Final

from zmcache.cache.watching import Feed, Told
from zmcache.client.route import Route
from zmcache.core import wire
from zmcache.core.wire import GONE_FLAG, NONE_FLAG, OLD_FLAG, UNWATCH, WATCH, News
from zmcache.errors import RequestError, ZmcacheError
from zmcache.peers.following import Session, Sessions

_LOOK_S: Final = 0.25
_ASK_S: Final = 2.0


class Watching:
    """Those of one group. A `Listener` of the sessions it needs."""

    def __init__(self, name: str, route: Route, sessions: Sessions, clock: Callable[[], float]) -> None:
        self._name = name
        self._route = route
        self._sessions = sessions
        self._clock = clock
        self._feeds: dict[str, dict[Feed, None]] = {}
        self._at: dict[str, Session] = {}
        self._again: set[str] = set()
        """Whose owners are to be asked once more what is there now."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def add(self, feed: Feed) -> None:
        """It hears of its keys from now on."""
        for key in feed.keys:
            self._feeds.setdefault(key, {})[feed] = None
            # Others may hear of it already, and go on doing so meanwhile.
            self._again.add(key)
        self._wake.set()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep(), name=f"zmcache watch {self._name}")

    def remove(self, feed: Feed) -> None:
        """No more."""
        for key in feed.keys:
            feeds = self._feeds.get(key)
            if feeds is not None:
                feeds.pop(feed, None)
                if not feeds:
                    del self._feeds[key]
                    self._again.discard(key)
                    self._wake.set()

    async def aclose(self) -> None:
        """Watch nothing any more."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    # -- from the owners -------------------------------------------------------------------------------------------

    def on_news(self, session: Session, news: News) -> None:
        """See `Listener`."""
        rows = zip(news.keys, news.values, news.versions, news.value_flags, news.skipped, strict=True)
        for key, value, version, flags, skipped in rows:
            if flags & OLD_FLAG:
                continue
            if self._at.get(key) is not session:
                continue  # from one who was the owner, or has not been asked again since something was lost
            exists = not flags & GONE_FLAG
            told = Told(key, value if exists and not flags & NONE_FLAG else None, exists, version, skipped)
            for feed in self._feeds.get(key, ()):
                feed.hear(told)

    def on_old(self, session: Session) -> None:
        """See `Listener`. Each key's end is told, too."""

    def on_heard(self, session: Session) -> None:
        """See `Listener`."""
        self._wake.set()

    def on_lost(self, session: Session) -> None:
        """See `Listener`."""
        for key in [key for key, at in self._at.items() if at is session]:
            self._lose(key)
        session.relied_on_by(self)  # to hear when it is good again
        self._wake.set()

    def _lose(self, key: str) -> None:
        del self._at[key]
        for feed in self._feeds.get(key, ()):
            feed.lose(key)

    # -- in step with the ring -------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            self._wake.clear()
            await self._settle()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()

    async def _settle(self) -> None:
        wanted: dict[Session, list[str]] = {}
        unwanted: dict[Session, list[str]] = {}
        for key in [key for key in self._at if key not in self._feeds]:
            session = self._at.pop(key)
            unwanted.setdefault(session, []).append(key)
        for key in self._feeds:
            try:
                channel = self._route.owner_channel(key)
            except LookupError:
                continue  # no ring yet
            session = self._sessions.of(channel)
            at = self._at.get(key)
            if at is not None and at is not session:
                unwanted.setdefault(at, []).append(key)
                self._lose(key)
                at = None
            if (at is None or key in self._again) and session.is_good:
                wanted.setdefault(session, []).append(key)
        for session, keys in unwanted.items():
            await self._tell(session, UNWATCH, keys)
        for session, keys in wanted.items():
            await self._tell(session, WATCH, keys)

    async def _tell(self, session: Session, kind: int, keys: list[str]) -> None:
        most = session.channel.keys_that_fit
        for start in range(0, len(keys), most):
            part = keys[start : start + most]
            if kind == WATCH:
                session.relied_on_by(self)
                # Before it is asked: what is there comes before the answer.
                self._at.update(dict.fromkeys(part, session))
                self._again.difference_update(part)
            asked = session.channel.query(
                kind,
                self._clock() + _ASK_S,
                self._name,
                make=partial(_of_keys, part),
            )
            try:
                await asked
            except RequestError as error:
                self._fail(part, error)
            except ZmcacheError:
                for key in part:
                    if kind == WATCH and key in self._at:
                        self._lose(key)

    def _fail(self, keys: list[str], error: ZmcacheError) -> None:
        for key in keys:
            self._at.pop(key, None)
            self._again.discard(key)
            for feed in self._feeds.pop(key, {}):
                feed.fail(error)


def _of_keys(keys: list[str], header: wire.Header) -> wire.Delete:
    return wire.Delete(*header, keys)
