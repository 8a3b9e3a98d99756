"""The connection to one peer: made when it is first needed, watched by pings, in one of the states of `zmcache.peers.health`.

What travels over it is its subclass's business (`zmcache.peers.channel`), which is told when frames come, when the way is free, and when nothing
that was sent has an answer coming any more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.errors import ConfigError, PeerUnavailable, ZmcacheError
from zmcache.peers.health import Health, State
from zmcache.transport.base import Connection, Transport

_log = logging.getLogger("zmcache.peers")


class Link:
    """See the module's docstring. ``ran_s``: how long our own loop has run (`zmcache.peers.ownloop`)."""

    def __init__(
        self,
        name: str,
        endpoint: str,
        transport: Transport,
        clock: Callable[[], float],
        ran_s: Callable[[], float],
    ) -> None:
        self.name = name
        self.endpoint = endpoint
        self.state = State.NEW
        self.health = Health()
        self.epoch = Epoch(0, 0)
        # Attributes, because every key's routing reads one of them.
        self.usable = True
        """Whether a request has a chance now."""
        self.preferred = True
        """The same, and the peer is not slow."""
        self._transport = transport
        self._clock = clock
        self._ran_s = ran_s
        self._where = endpoint if name == endpoint else f"{name} at {endpoint}"
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._pulse = self.health.pulse
        self._next_id = 0

    # -- for the subclass ------------------------------------------------------------------------------------------

    def on_writable(self) -> None:
        """From the transport, and when the peer can be sent to again: send what has waited."""
        raise NotImplementedError

    def on_frame(self, frame: bytes) -> None:
        """From the transport. What makes sense is to be told to `_hear`."""
        raise NotImplementedError

    def _may_be_used(self) -> bool:
        """Whether a peer that is suspected may be tried again, now that it speaks."""
        raise NotImplementedError

    def _fail_all(self, error: ZmcacheError) -> None:
        """Nothing that is under way will be answered."""
        raise NotImplementedError

    def _begin_anew(self) -> None:
        """A new connection."""
        raise NotImplementedError

    def _is_back(self) -> None:
        """The peer is used again, after it was not."""
        raise NotImplementedError

    @property
    def is_connected(self) -> bool:
        """Whether anything can be sent."""
        return self.state is State.UP or self.state is State.TRIAL

    @property
    def is_reachable(self) -> bool:
        """Whether what is asked is worth sending, or keeping until it can be sent."""
        # On trial, whoever asks has found nobody else.
        return self.usable or self.state is State.TRIAL

    def connect(self) -> None:
        """Begin to, unless that was done."""
        if self.state is State.NEW:
            self._become(State.CONNECTING)
            try:
                self._connection = self._transport.connect(self.endpoint, self)
            except ConfigError as error:
                # Somebody registered what is no address: for the callers, a peer that cannot be reached.
                _log.warning("%s cannot be reached: %s", self.name, error)
                self._become(State.DOWN)

    # -- states ----------------------------------------------------------------------------------------------------

    def _become(self, state: State) -> None:
        self.state = state
        self.usable = state is State.UP or state is State.CONNECTING
        self.weigh()

    def weigh(self) -> None:
        """Look again whether the peer is slow."""
        self.preferred = self.usable and not self.health.latency.slow

    def on_connected(self) -> None:
        """From the transport."""
        if self.state is State.CLOSED:
            return
        was_down = self.state is State.DOWN
        self._begin_anew()
        self._become(self.health.connected(self._clock()))
        self.on_writable()
        if was_down and self.state is State.UP:
            self._is_back()

    def on_disconnected(self, reason: str) -> None:
        """From the transport."""
        if self.state is not State.CLOSED:
            if self.is_connected or self.state is State.SUSPECT:
                _log.warning("%s is gone: %s", self._where, reason)
            self.health.lost(self.state, self._clock())
            self._become(State.DOWN)
            self._fail_all(PeerUnavailable(f"{self._where}: {reason}", peer=self.name))

    def _hear(self, *, is_pong: bool) -> None:
        """Something came that makes sense."""
        self._pulse.heard = True
        if self.state is State.SUSPECT and (is_pong or not self._pulse.is_stuck(self._ran_s())) and self._may_be_used():
            self._become(self.health.speaks())

    def _suspect(self, why: str) -> None:
        _log.warning("%s %s", self._where, why)
        self._become(State.SUSPECT)
        self._fail_all(PeerUnavailable(f"{self._where} {why}", peer=self.name))

    def beat(self) -> None:
        """Called every `BEAT_S`: count the beats of silence and ping, in use or not, so that a hung peer is known before it is needed."""
        if self.state is State.CONNECTING:
            if self._pulse.beat_unanswered():
                self.on_disconnected("no answer to the handshake")
            return
        if not self.is_connected and self.state is not State.SUSPECT:
            return
        before, ran_s = self.state, self._ran_s()
        after = self.health.beat(before, ran_s, self._clock())
        if after is not before:
            if after is State.SUSPECT:
                self._suspect("does not answer pings")
            else:
                _log.warning("%s answers again", self._where)
                self._become(after)
                self._is_back()
        self._ping(ran_s, between_beats=False)

    def _ping(self, ran_s: float, *, between_beats: bool) -> None:
        if self._pulse.wants_ping(ran_s) and self._connection is not None:
            self._next_id += 1
            ping = wire.encode(wire.Query(*wire.header(wire.PING, self._next_id, self.epoch)))
            if self._connection.send_nowait(ping):
                self._pulse.pinged(self._next_id, ran_s, between_beats=between_beats)

    def close(self) -> None:
        """Close the connection; what is under way fails."""
        if self.state is State.CLOSED:
            return
        self._become(State.CLOSED)
        if self._connection is not None:
            self._connection.close()
        self._fail_all(PeerUnavailable(f"{self.name} is not a member any more", peer=self.name))
