"""The direct way to one peer: a lone get or set of a thread that waits, past the loop, over a connection of its own.

For a caller without a loop the way there and back costs two changes of thread, which on a machine with little to do take as long as half of
all the rest. So what is alone asks by itself: it sends, waits and decodes where it stands. The loop stays in charge of everything else:

- It opens the connection, when it is first wished for, and closes it when the channel finds its peer gone or hung: what a thread waits for
  then is asked again through the loop, which knows whom to ask instead. Asking twice is harmless for a get, and for a set.
- One thread at a time, and only while nothing else is under way (`zmcache.sync.bridge`): callers who are several fare better together.
- Whatever is out of the ordinary goes through the loop as well: a connection that is not ready, bad frames, a node that is stopping.

What is left behind is harmless: an answer that comes when its asker has gone (its deadline, an interruption) bears a request id that is asked for
never again, and the next to receive drops it. Costs, on the client's side: two system calls, and the wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from itertools import count
from typing import Final, Protocol

from zmcache.core import wire
from zmcache.core.ring import Epoch
from zmcache.errors import DeadlineExceeded, ZmcacheError
from zmcache.peers.batch import remaining_ms
from zmcache.transport.base import BlockingConnection

# A connection that cannot be written to by then was refused, or is lost: it is replaced, not more often than this.
_READY_S: Final = 1.0


class AskThroughLoop(Exception):
    """It was sent, and has no answer coming."""


class InCharge(Protocol):
    """What it needs of the channel. Methods are called on the loop."""

    limits: wire.Limits
    epoch: Epoch

    @property
    def in_doubt(self) -> bool:
        """Whether it makes a difference to say that an answer could be read."""

    def on_good_answer(self) -> None:
        """One could be read."""

    def on_other_epoch(self, epoch: Epoch) -> None:
        """One carried this epoch, which is not the channel's."""

    def open_direct(self, old: Direct) -> None:
        """Make another in the place of ``old``."""


class Direct:
    """See the module's docstring. Made and closed on the loop; `ask` is for threads."""

    __slots__ = ("_channel", "_connection", "_ids", "_loop", "_made_s")

    def __init__(
        self, channel: InCharge, connection: BlockingConnection | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        """``connection`` is None where the transport has none: then nothing is ever asked this way."""
        self._channel = channel
        self._connection = connection
        self._loop = loop
        self._made_s = time.monotonic()
        self._ids = count(1)

    def close(self) -> None:
        """On the loop. Whoever waits is told to ask through the loop."""
        if self._connection is not None:
            self._connection.close()

    def ask(self, group: str, key: str, deadline_s: float, trace: str | None) -> wire.Message | None:
        """What the peer says to a GET of ``key``; None where nothing was asked, and the loop has to.

        Raises `AskThroughLoop`, and `DeadlineExceeded`.
        """
        return self._ask_alone(wire.GET, group, lambda header: wire.Get(*header, [key], trace), deadline_s)

    def set(self, group: str, change: wire.Change, deadline_s: float) -> wire.Message | None:
        """The same of a SET. Raises the same."""
        value, none = (change.value, None) if change.value is not None else (b"", [wire.NONE_FLAG])
        tags = [change.tags] if change.tags else None
        return self._ask_alone(
            wire.SET,
            group,
            lambda header: wire.Set(*header, [change.key], [value], [change.ttl_ms], none, None, tags),
            deadline_s,
        )

    def _ask_alone(
        self, kind: int, group: str, make: Callable[[wire.Header], wire.Message], deadline_s: float
    ) -> wire.Message | None:
        connection = self._connection
        if connection is None or not connection.hold_nowait():
            return None
        # An interruption from here to the next line leaves it held for ever: then everything goes through the loop.
        try:
            return self._ask(connection, kind, group, make, deadline_s)
        finally:
            connection.let_go()

    def _ask(
        self,
        connection: BlockingConnection,
        kind: int,
        group: str,
        make: Callable[[wire.Header], wire.Message],
        deadline_s: float,
    ) -> wire.Message | None:
        channel = self._channel
        epoch, request_id = channel.epoch, next(self._ids)
        header = wire.header(
            kind, request_id, epoch, deadline_ms=remaining_ms(deadline_s, time.monotonic()), group=group
        )
        try:
            if not connection.send_nowait(wire.encode(make(header))):
                self._replace()
                return None
            reply = self._answer(connection, request_id, deadline_s)
        except (ZmcacheError, AskThroughLoop):
            raise
        except BaseException:  # an interruption: nobody waits any more
            header = wire.header(wire.CANCEL, request_id, epoch, group=group)
            connection.send_nowait(wire.encode(wire.Cancel(*header, None)))
            raise
        if channel.in_doubt and isinstance(reply, wire.Answer | wire.Refusal):
            self._on_loop(channel.on_good_answer)
        if reply.revision != epoch.revision or reply.digest != epoch.digest:
            self._on_loop(channel.on_other_epoch, Epoch(reply.revision, reply.digest))
        return reply

    def _answer(self, connection: BlockingConnection, request_id: int, deadline_s: float) -> wire.Message:
        while True:
            frame = connection.receive()
            if frame is not None:
                try:
                    reply = wire.decode(frame, self._channel.limits)
                except wire.BadFrame as error:
                    if error.request_id not in (None, request_id):
                        continue
                    # The loop is to judge: it counts them.
                    raise AskThroughLoop from error
                if reply.request_id == request_id:
                    return reply
            elif not connection.is_connected():
                self._replace()
                raise AskThroughLoop
            if time.monotonic() >= deadline_s:
                raise DeadlineExceeded("no answer within the call's deadline")

    def _replace(self) -> None:
        if time.monotonic() - self._made_s > _READY_S:
            self._on_loop(self._channel.open_direct, self)

    def _on_loop(self, callback: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # closed meanwhile
            self._loop.call_soon_threadsafe(callback, *args)
