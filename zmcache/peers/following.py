"""What one node tells of its own accord, and until when its silence means that nothing has changed.

The node numbers what it tells this connection. A number that is missing, another incarnation of the node, a connection that was lost: then some of it
may not have come, and whoever relies on it is told (`Listener.on_lost`). Silence is not news: what was told must also have had time to come. So
the node is asked again and again how much it has told, and its answer is true of the moment in which it was asked, however late it comes:
`good_until_s` is `SILENCE_S` after that moment, by this process's own clock. Who was suspended, or is cut off, finds that time over.

Clients follow nodes for their near copies and for what they watch, and nodes follow one another for their hot copies (`zmcache.peers.hearing`). Of
a node that nothing was asked for `RESTS_S` nothing is believed any more, and it is not asked either.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, Protocol

from zmcache.core import wire
from zmcache.core.wire import FOLLOWING, News
from zmcache.errors import Busy
from zmcache.peers.channel import Channel, State

BEAT_S: Final = 0.5
SILENCE_S: Final = 2.0
RESTS_S: Final = 60.0
# A node forgets whom it has not heard for twice as long (`zmcache.node.followers`), and whom it has told nothing cannot tell that from its numbers.
_FORGETS_S: Final = 5.0
_ACK_AFTER: Final = 64  # messages

_log = logging.getLogger("zmcache.peers")


class Listener(Protocol):
    """One who relies on what a node tells; a group of a client or of another node."""

    def on_news(self, session: Session, news: News) -> None:
        """What has become of some keys of its group."""

    def on_old(self, session: Session) -> None:
        """The group was emptied: what is kept of what this node owns is old."""

    def on_lost(self, session: Session) -> None:
        """Something may not have been told; and nothing is told any more to who was watching. Told once to who relies on it."""

    def on_heard(self, session: Session) -> None:
        """The session is good for longer."""


class Session:
    """With one node, by one channel. Begins when it is made, and goes on until `close`."""

    def __init__(self, channel: Channel, listeners: Mapping[str, list[Listener]], clock: Callable[[], float]) -> None:
        """``listeners`` by the names of groups."""
        self.channel = channel
        self.good_until_s = -math.inf
        """By ``clock``, as all that has to do with lives."""
        self.needed_s = clock()
        """When it was last asked for."""
        self.life = 0
        """Another number whenever something was lost, or may have been before it was known how much is told."""
        self._listeners = listeners
        self._told: dict[Listener, None] = {}
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._incarnation: int | None = None
        self._seen = self._acked = self._losses = 0
        self._passed = 0, 0  # the incarnation, and the number
        self._asking: asyncio.Future[wire.Reply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        channel.on_news = self._on_news
        channel.on_lost = self._lose
        self._beat()

    @property
    def is_good(self) -> bool:
        """Whether what is not told has not happened."""
        return self._clock() < self.good_until_s

    @property
    def begins(self) -> bool:
        """Whether it will be good when the node has answered for the first time. If `life` is the same then, nothing was told before."""
        return self._incarnation is None and self._asking is not None

    def relied_on_by(self, listener: Listener) -> None:
        """It is to be told when something is lost."""
        self._told[listener] = None

    def close(self) -> None:
        """Listen no more."""
        self._closed = True
        self.channel.on_news = self.channel.on_lost = None
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    # -- how much was told -----------------------------------------------------------------------------------------

    @property
    def rests(self) -> bool:
        """Whether the node is not asked how much it has told, and so nothing it has not told means anything."""
        return self._timer is None

    def wake(self) -> None:
        """It is needed again."""
        if self.rests and not self._closed:
            self._beat()

    def _beat(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.channel.state is State.CLOSED or self._clock() - self.needed_s >= RESTS_S:
            self._lose()
            return
        self._timer = self._loop.call_later(BEAT_S, self._beat)
        if self._asking is None:
            self._ask()

    def _ask(self) -> None:
        asked_s = self._clock()
        incarnation, seen = self._incarnation or 0, self._seen
        self._acked = seen
        self._asking = self.channel.query(
            FOLLOWING, self.channel.now_s + SILENCE_S, make=lambda header: wire.Following(*header, incarnation, seen)
        )
        self._asking.add_done_callback(partial(self._answered, asked_s, seen, self._losses))

    def _answered(self, asked_s: float, asked_seen: int, losses: int, answer: asyncio.Future[wire.Reply]) -> None:
        self._asking = None
        error = None if answer.cancelled() else answer.exception()
        if answer.cancelled() or self._closed or self.rests:
            return
        if error is None and losses != self._losses:
            # It is of before something was lost: what it counts may not be counted any more.
            self._beat()
            return
        if isinstance(error, Busy):
            _log.warning("%s: %s", self.channel.name, error)
            self._lose()
            return
        if error is not None:
            _log.debug("%s does not say what it has told: %s", self.channel.name, error)
            self.life += self._incarnation is None
            return
        news = answer.result()
        if not isinstance(news, News):
            return
        # News that came right behind this answer has been heard before it: a future tells its own a turn later.
        told_all = news.incarnation == self._incarnation and asked_seen <= news.number <= self._seen
        if self._incarnation is None:
            self.life += news.number != 0
        elif not told_all or asked_s - self.good_until_s >= _FORGETS_S - SILENCE_S:
            self._lose()
        if self._incarnation is None:
            incarnation, number = self._passed
            self._seen = max(news.number, number) if incarnation == news.incarnation else news.number
            self._incarnation = news.incarnation
        self.good_until_s = asked_s + SILENCE_S
        for listener in self._told:
            listener.on_heard(self)

    # -- what is told ----------------------------------------------------------------------------------------------

    def _on_news(self, news: News) -> None:
        if self._incarnation is None:
            # What it was about may have been asked for already. How much is told may be known in the next turn, without this one.
            self.life += 1
            self._passed = news.incarnation, news.number
            return
        if news.incarnation != self._incarnation or news.number != self._seen + 1 or not news.group:
            self._lose()
            return
        self._seen = news.number
        if self._seen - self._acked >= _ACK_AFTER and self._asking is None:
            self._ask()
        for listener in self._listeners.get(news.group, ()):
            if news.flags & wire.ALL_KEYS:
                listener.on_old(self)
            if news.keys:
                listener.on_news(self, news)

    def _lose(self) -> None:
        self.life += 1
        self._losses += 1
        self.good_until_s = -math.inf
        self._incarnation, self._seen = None, 0
        self._passed = 0, 0
        told, self._told = self._told, {}
        for listener in told:
            listener.on_lost(self)
        if self.channel.state is State.UP:
            self._loop.call_soon(self._beat_again)

    def _beat_again(self) -> None:
        if not self._closed and not self.rests:
            self._beat()


class Sessions:
    """Those of one client or node, each begun when it is first needed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[Channel, Session] = {}
        self._listeners: dict[str, list[Listener]] = {}

    def add(self, group: str, listener: Listener) -> None:
        """Who hears of that group."""
        self._listeners.setdefault(group, []).append(listener)

    def of(self, channel: Channel) -> Session:
        """That with the node at the other end."""
        session = self._sessions.get(channel)
        if session is None:
            for old in [old for old in self._sessions if old.state is State.CLOSED]:
                self._sessions.pop(old).close()
            session = self._sessions[channel] = Session(channel, self._listeners, self._clock)
        else:
            session.needed_s = self._clock()
            if session.rests:
                session.wake()
        return session

    def close(self) -> None:
        """End them all."""
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
