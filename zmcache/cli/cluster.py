"""A cluster as those who run it see it: who is in the ring, how each of them says it is, and what they can be told.

Clients ask owners for keys and take what the ring says for granted; here every node is asked for itself, and one that does not answer is something
to show. Of several answers about the members the newest counts: whoever is asked may be a step behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Self

from zmcache.core import wire
from zmcache.core.address import parse_address
from zmcache.core.ring import Member, Ring
from zmcache.core.wire import Figures, Limits, Members
from zmcache.deadlines import Deadlines
from zmcache.errors import ConfigError, PeerUnavailable, ZmcacheError
from zmcache.peers.building import build_ring
from zmcache.peers.channel import Channel, State
from zmcache.peers.mesh import Mesh
from zmcache.transport.zeromq import ZmqTransport

ANSWER_S: Final = 3.0
# Who else answers about the members is waited for so long, and so many are asked besides those that were named.
_OTHERS_S: Final = 0.05
_OTHERS: Final = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """One node. ``figures`` are its statistics, told when it had the ring of ``digest``; None where it does not answer."""

    member: Member
    share: float
    figures: Mapping[str, float] | None
    digest: int = 0
    suspected_by: tuple[str, ...] = ()
    """Who does not use it, because it does not answer them."""

    def sum_of(self, name: str) -> float:
        """The sum of a figure over its groups."""
        figures = self.figures or {}
        return sum(
            figure for full, figure in figures.items() if full.startswith("group.") and full.endswith(f".{name}")
        )

    @property
    def is_handing_over(self) -> bool:
        """Whether it has something to hand over, or waits to be handed something, as far as it says."""
        figures = self.figures or {}
        return bool(figures.get("handover.under_way") or figures.get("doubting"))


@dataclass(frozen=True, slots=True)
class View:
    """All that was seen at one look; ``nodes`` by id. ``revision``: of the membership, 0 with a static list; ``digest``: of the members."""

    revision: int
    digest: int
    nodes: Mapping[str, Seen]

    @property
    def silent(self) -> list[str]:
        """The nodes that do not answer."""
        return sorted(node_id for node_id, seen in self.nodes.items() if seen.figures is None)


class Cluster:
    """Use it as ``async with``. ``addresses`` as `zmcache.connect` takes them."""

    def __init__(self, addresses: str, limits: Limits | None = None) -> None:
        """Raises `ConfigError` for what is no address."""
        self._endpoints = parse_address(addresses).endpoints
        if not self._endpoints:
            raise ConfigError(f"expected host:port[,host:port...], found {addresses!r}")
        self._limits = limits or Limits()

    async def __aenter__(self) -> Self:
        """Nothing is asked yet."""
        self._loop = asyncio.get_running_loop()
        self._transport = ZmqTransport(max_message_bytes=self._limits.message_bytes)
        self._deadlines = Deadlines(self._loop)
        self._mesh = Mesh(self._transport, self._limits, self._deadlines, self_id=None, on_epoch=lambda *_: None)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close all connections."""
        self._mesh.close()
        self._deadlines.close()
        self._transport.close()

    async def look(self, within_s: float = ANSWER_S) -> View:
        """Ask everybody. Raises `PeerUnavailable` where nobody says who is there."""
        deadline_s = self._mesh.clock() + within_s
        members = await self._members(deadline_s)
        ring = await self._adopt(members)
        answers = await asyncio.gather(*(self._figures(member.node_id, deadline_s) for member in ring.members))
        told = {answer.group: answer for answer in answers if answer is not None}
        figures = {node_id: dict(zip(a.names, a.figures, strict=True)) for node_id, a in told.items()}
        shares = ring.share()
        return View(
            *ring.epoch,
            {
                member.node_id: Seen(
                    member,
                    shares[member.node_id],
                    figures.get(member.node_id),
                    told[member.node_id].digest if member.node_id in told else 0,
                    suspecting(member.node_id, figures),
                )
                for member in sorted(ring.members)
            },
        )

    async def ask_to_leave(self, node_id: str, *, anew: bool) -> None:
        """Ask a node that was seen at the last look. Raises what it answers, or `PeerUnavailable`; that it breaks the connection is an answer."""
        channel = self._mesh.channel_of(node_id)
        if channel is None or not channel.usable:
            raise PeerUnavailable(f"{node_id} cannot be reached", peer=node_id)
        try:
            await channel.query(wire.LEAVE, self._mesh.clock() + ANSWER_S, flags=wire.ANEW if anew else 0)
        except PeerUnavailable:
            # A node that is alone has nothing to wait for, and may be gone before its answer is.
            if channel.state is not State.DOWN:
                raise

    async def _figures(self, node_id: str, deadline_s: float) -> Figures | None:
        channel = self._mesh.channel_of(node_id)
        assert channel is not None
        with suppress(ZmcacheError):
            answer = await channel.query(wire.STATS, deadline_s)
            # What answers at a node's address need not be that node.
            return answer if isinstance(answer, Figures) and answer.group == node_id else None
        return None

    async def _members(self, deadline_s: float) -> Members:
        asked = {channel.query(wire.TOPOLOGY, deadline_s) for channel in self._to_ask()}
        good: list[Members] = []
        error: BaseException | None = None
        waiting = asked
        try:
            while waiting:
                done, waiting = await asyncio.wait(
                    waiting, timeout=_OTHERS_S if good else None, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    break
                for future in done:
                    failed = future.exception()
                    error = failed or error
                    if failed is None and isinstance(answer := future.result(), Members) and answer.node_ids:
                        good.append(answer)
        finally:
            for future in waiting:
                future.cancel()
        if not good:
            raise PeerUnavailable(
                f"no node answers at {', '.join(self._endpoints)}: {error or 'nothing that can be read'}"
            )
        return max(good, key=lambda answer: answer.revision)

    def _to_ask(self) -> list[Channel]:
        usable = [channel for channel in self._mesh.channels() if channel.usable]
        return [*(self._mesh.contact(endpoint) for endpoint in self._endpoints), *usable[:_OTHERS]]

    async def _adopt(self, answer: Members) -> Ring:
        rows = zip(answer.node_ids, answer.endpoints, answer.weights, answer.zones, answer.states, strict=True)
        members = tuple(Member(*row) for row in rows)
        before = self._mesh.ring
        if before.epoch.revision != answer.revision or before.epoch.digest != answer.digest:
            self._mesh.adopt(await build_ring(members, answer.revision, before))
        return self._mesh.ring


def suspecting(node_id: str, figures: Mapping[str, Mapping[str, float]]) -> tuple[str, ...]:
    """Who, of those whose figures these are, does not use that node."""
    name = f"peer.{node_id}.state"
    return tuple(sorted(other for other, told in figures.items() if told.get(name, 1.0) == 0.0))


__all__ = ["ANSWER_S", "Cluster", "Seen", "View", "suspecting"]
