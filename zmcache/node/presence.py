"""How a node comes into the ring, and how it leaves it.

It joins: those who serve hand over what it is to hold, and only then it serves. Where nobody could tell that it joins, or nobody serves, it serves
at once. It leaves in the opposite order: the others are told first, then it hands over what it holds, and goes on answering until it is quiet.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Final

from zmcache.config import NodeSettings
from zmcache.core.ring import JOINING, LEAVING, SERVING, Member
from zmcache.discovery.base import Discovery
from zmcache.errors import DiscoveryError
from zmcache.node.dispatch import Dispatcher
from zmcache.node.doubt import Doubt
from zmcache.node.handover import Handover
from zmcache.node.membership import Membership
from zmcache.peers.mesh import Mesh

_PUBLISHED_S: Final = 5.0  # until what was published is in this node's own ring
_LOOKS_AGAIN_S: Final = 0.1
_QUIET_S: Final = 0.5  # no request for this long: everyone has heard that the node is leaving

_log = logging.getLogger("zmcache.node")


class Presence:
    """Of one node, ``member`` when it serves."""

    def __init__(
        self,
        member: Member,
        settings: NodeSettings,
        mesh: Mesh,
        discovery: Discovery,
        membership: Membership,
        dispatcher: Dispatcher,
        handover: Handover,
        doubt: Doubt,
        *,
        clock: Callable[[], float],
    ) -> None:
        self.member = member
        """As the others see it."""
        self.handed_over = False
        """Whether it leaves, and what it held is held elsewhere."""
        self._settings = settings
        self._mesh = mesh
        self._discovery = discovery
        self._membership = membership
        self._dispatcher = dispatcher
        self._handover = handover
        self._doubt = doubt
        self._clock = clock
        self._closed = False

    async def announce(self, on_lease_lost: Callable[[], None]) -> None:
        """Put the node on the list of members. Returns when it has a ring; raises `DiscoveryError` where it gets none."""
        if self._settings.join_timeout_s > 0:
            self.member = self.member._replace(state=JOINING)
        await self._discovery.start(self.member, self._membership.on_snapshot, on_lease_lost)
        await self._membership.wait_ring()

    async def join(self) -> None:
        """Return when this node serves: it has been given what it is to hold, nobody serves who could give it, or it took too long."""
        member = self.member
        mine = self._mesh.ring.member(member.node_id)
        serving = member._replace(state=SERVING)
        if mine is not None and mine.state == JOINING:
            await self._be_given()
            if self._closed:
                return
            # Before it is known: who hears of it asks at once.
            self._dispatcher.serving = True
            await self._publish(serving)
        elif member.state == JOINING:
            # A static list, or the members last seen: nobody asks how this node is; or not before etcd is back.
            with contextlib.suppress(DiscoveryError):
                await self._discovery.update(serving)
        if not self._closed:
            self.member = serving
            self._dispatcher.serving = True

    def close(self) -> None:
        """It does not come into the ring any more."""
        self._closed = True

    async def _be_given(self) -> None:
        if not any(other.state == SERVING for other in self._mesh.ring.members):
            return
        given_up: list[bool] = []
        self._doubt.begin(self._settings.join_timeout_s, lambda: given_up.append(True), ask=False)
        await self._doubt.wait_over()
        if given_up:
            _log.warning("%s serves without having been handed over all that it is to hold", self.member.node_id)

    async def _publish(self, serving: Member) -> None:
        try:
            await self._discovery.update(serving)
            await self._membership.wait_state(serving.node_id, SERVING, _PUBLISHED_S)
        except DiscoveryError as error:
            # The others hear of it when it can be published; until then they keep what they own.
            _log.info("the others are not told yet that %s serves: %s", serving.node_id, error)

    async def leave(self) -> None:
        """Leave the ring, hand over, go on answering until it is quiet and nothing is in flight, at most ``drain_timeout``."""
        self.member = self.member._replace(state=LEAVING)
        alone = len(self._mesh.ring.members) <= 1
        try:
            await self._discovery.update(self.member)
        except DiscoveryError as error:
            if not alone:
                _log.info("the others are not told that this node leaves: %s", error)
            alone = True  # nobody will route around it, so there is no quiet to wait for
        deadline_s = self._clock() + self._settings.drain_timeout_s
        if not alone:
            await self._hand_over_all(deadline_s)
        await self._wait_quiet(0.0 if alone else _QUIET_S, deadline_s)

    async def _hand_over_all(self, deadline_s: float) -> None:
        """Return when what this node holds is held elsewhere, as far as that can be done until then."""
        try:
            async with asyncio.timeout(max(0.0, deadline_s - self._clock())):
                is_told = await self._membership.wait_state(self.member.node_id, LEAVING, _PUBLISHED_S)
                await self._handover.wait_settled()
                # Who cannot be reached now may be back before the time is over, or be let go of, and others get its part.
                while self._handover.short:
                    await asyncio.sleep(_LOOKS_AGAIN_S)
                    await self._handover.wait_settled()
                self.handed_over = is_told
        except TimeoutError:
            pass  # told below, as is all else that keeps it from being whole
        if not self.handed_over:
            _log.warning("%s leaves before all that it held has been handed over", self.member.node_id)

    async def _wait_quiet(self, quiet_s: float, deadline_s: float) -> None:
        """Return when nobody has asked for so long, and all are answered who did."""
        dispatcher = self._dispatcher
        since_s = max(self._clock(), dispatcher.last_request_s)
        while (now_s := self._clock()) < deadline_s:
            since_s = max(since_s, dispatcher.last_request_s)
            if not dispatcher.late and now_s - since_s >= quiet_s:
                break
            await asyncio.sleep(0.02)
