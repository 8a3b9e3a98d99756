"""Gets and sets of threads past the loop: which peer, and what its answer means. The way itself is `zmcache.peers.direct`.

Only what `zmcache.client.asking` would do for a lone one is done here, and only while all goes well: what does not is asked through the loop,
where there is a second choice of node. What is read of the loop's here may be a moment old: a ring that has just changed costs a hop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

from zmcache.cache.raw import Row
from zmcache.client.route import Route
from zmcache.core.calls import Duration, check_timeout
from zmcache.core.wire import FIRST_ERROR, Answer, Change, Message, Refusal, check_key
from zmcache.errors import LifecycleError, PeerUnavailable, from_code
from zmcache.peers.channel import Channel, State
from zmcache.peers.direct import AskThroughLoop, Direct
from zmcache.tracing import traceparent

# A timeout has to be more than nothing. What is asked with this has its deadline behind it.
LEAST_S: Final = 0.001


class DirectCalls:
    """Those of one group. Made on the loop."""

    def __init__(self, name: str, route: Route, timeout_s: float) -> None:
        self._name = name
        self._route = route
        self._timeout_s = timeout_s
        self._key_bytes = route.mesh.limits.key_bytes
        self._loop = asyncio.get_running_loop()

    def get(self, key: str, timeout: Duration | None) -> tuple[Row | None, Duration | None]:
        """The key's row, or None where it has to be asked for through the loop; and the timeout that is left for that.

        Raises `InvalidKey`, and what a node says or does not say in time.
        """
        if type(key) is not str or not key or len(key) > self._key_bytes or not key.isascii():
            check_key(key, self._key_bytes)
        return self._told(
            self._route.channel, key, lambda way, by_s: way.ask(self._name, key, by_s, traceparent()), timeout
        )

    def set(self, change: Change, timeout: Duration | None) -> tuple[Row | None, Duration | None]:
        """The same of a set, whose key and value have been checked. The caller has the loop fence the key."""
        return self._told(
            self._route.owner_channel, change.key, lambda way, by_s: way.set(self._name, change, by_s), timeout
        )

    def _told(
        self,
        channel_of: Callable[[str], Channel],
        key: str,
        ask: Callable[[Direct, float], Message | None],
        timeout: Duration | None,
    ) -> tuple[Row | None, Duration | None]:
        timeout_s = self._timeout_s if timeout is None else check_timeout(timeout)
        try:
            channel = channel_of(key)
        except (LookupError, LifecycleError):
            # No node is known, or nothing has been asked of this one: the loop makes the way to it.
            return None, timeout
        direct = channel.direct
        if direct is None:
            if channel.state is State.UP:
                with contextlib.suppress(RuntimeError):  # closed meanwhile
                    self._loop.call_soon_threadsafe(channel.open_direct)
            return None, timeout
        deadline_s = time.monotonic() + timeout_s
        try:
            reply = ask(direct, deadline_s)
            if reply is None:
                return None, timeout
            row = _row(reply)
        except AskThroughLoop:
            row = None
        return row, timeout if row is not None else max(deadline_s - time.monotonic(), LEAST_S)


def _row(reply: Message) -> Row | None:
    """What an answer of one position says; None for what the loop has to see about. Raises the node's error."""
    if isinstance(reply, Answer) and len(reply.statuses) == 1:
        status, value = reply.statuses[0], reply.values[0]
        if status < FIRST_ERROR:
            return value, status, reply.lives_ms[0]  # type: ignore[return-value]  # text is for errors alone
        error = from_code(status, str(value))
    elif isinstance(reply, Refusal):
        error = from_code(reply.code, reply.message)
    else:
        return None
    if isinstance(error, PeerUnavailable):
        return None
    raise error
