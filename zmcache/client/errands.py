"""What a client asks for one group that is no get: changes of one key, leases, and what is given back.

Each is an *errand*, ``[key, batch, future, deadline, change]``, and shared by nobody. One that fails because its node is gone is asked again
elsewhere (`zmcache.client.elsewhere`). What must not be done twice, and may have been done, is not: its outcome is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias
from weakref import ref

from zmcache.cache.raw import Told
from zmcache.client.batches import OpenBatches, expire
from zmcache.client.elsewhere import Elsewhere, sent_on
from zmcache.client.route import Route
from zmcache.core.calls import Duration
from zmcache.core.wire import FILL, FIRST_ERROR, LEASED, LEASED_NONE, RELEASE, Answer, Change
from zmcache.errors import PeerUnavailable, ZmcacheError, from_code
from zmcache.peers.batch import Batch, undone
from zmcache.peers.channel import Channel

Errand: TypeAlias = list[Any]  # [key, batch, future, deadline, change]


class Errands:
    """Those of one group. Consumer of the batches they travel in."""

    def __init__(
        self,
        name: str,
        route: Route,
        timeout_s: float,
        on_unreachable: Callable[[], None],
        fence: Callable[[str], None],
    ) -> None:
        """``on_unreachable``: see `Asking`. ``fence`` is called with each key, before it is changed: nobody who asks for it from now on is to
        share a get that is under way, and may bring the old value.
        """
        self._route = route
        self._on_unreachable = on_unreachable
        self._fence = fence
        self._deadlines = route.mesh.deadlines
        self._loop = asyncio.get_running_loop()
        self._batches = OpenBatches(name, timeout_s, self)

    def begin(self, change: Change, timeout: Duration | None) -> Errand:
        """Ask for a change of one key, which has been checked; the errand, whose third item is the future of a `Told`.

        Raises `PeerUnavailable` where no node is known yet.
        """
        key = change.key
        future: asyncio.Future[Told] = self._loop.create_future()
        self._fence(key)
        batch, deadline_s = self._batches.batch(self._channel(key), change.kind, timeout)
        errand: Errand = [key, batch, future, deadline_s, change]
        if change.kind == FILL:  # whose batch lasts longer
            self._deadlines.add(deadline_s, partial(expire, ref(future)))
        batch.add_change(change, errand, deadline_s)
        return errand

    def post(self, change: Change) -> None:
        """The same, and nobody waits for it."""
        try:
            future = self.begin(change, None)[2]
        except ZmcacheError:
            return
        future.add_done_callback(lambda future: future.cancelled() or future.exception())

    def forgo_fill(self, errand: Errand) -> None:
        """Who asked for a lease was cancelled, or has waited for long enough."""
        future: asyncio.Future[Told] = errand[2]
        if future.done() and not future.cancelled() and future.exception() is None:
            # The answer came in the same turn of the loop as the cancellation.
            _, status, _, token = future.result()
            if status in (LEASED, LEASED_NONE):
                self.post(Change(RELEASE, errand[0], token=token))
        else:
            errand[1].channel.forgo(errand[1], errand)

    def _channel(self, key: str) -> Channel:
        try:
            return self._route.owner_channel(key)
        except LookupError:
            raise PeerUnavailable("no node has answered yet") from None

    # -- from the channel ------------------------------------------------------------------------------------------

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """Some positions of a batch were answered."""
        gone: dict[str, list[Errand]] = {}
        errand: Errand
        for errand, status, value, life_ms, token in batch.fill(answer):
            if status == PeerUnavailable.code:
                gone.setdefault(str(value), []).append(errand)
            elif status >= FIRST_ERROR:
                _fail(errand, from_code(status, str(value)))
            elif not errand[2].done():
                errand[2].set_result((value, status, life_ms, token))
            elif batch.kind == FILL and (status in (LEASED, LEASED_NONE)):
                # Granted to nobody, who was cancelled meanwhile: the next one is not to wait until its time is over.
                self.post(Change(RELEASE, errand[0], token=token))
        for why, errands in gone.items():
            # It says itself that it has not done it.
            self._ask_elsewhere(batch, errands, sent_on(batch.channel, why))

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """The rest of a batch will not be answered."""
        self._ask_elsewhere(batch, batch.unfilled(), undone(batch, error))

    def _ask_elsewhere(self, batch: Batch, errands: list[Errand], error: ZmcacheError) -> None:
        if isinstance(error, PeerUnavailable):
            self._on_unreachable()
        # Without the flags of gets: a write keeps to the owner if the stand-in can reach it. It may be that only we cannot, and the others
        # still read there.
        elsewhere = Elsewhere(batch, error, self._route, flags=0)
        for errand in errands:
            other = elsewhere.batch(errand[0])
            if other is None:
                _fail(errand, error)
            else:
                errand[1] = other
                other.add_change(errand[4], errand, errand[3])


def _fail(errand: Errand, error: ZmcacheError) -> None:
    if not errand[2].done():
        errand[2].set_exception(error)
