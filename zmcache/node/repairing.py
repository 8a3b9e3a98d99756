"""Tags that were invalidated, and groups that were cleared, while this node could not be told: it hears of them from the others.

Every `BEAT_S` it sends one peer, in turn, a digest of all that it knows of each group's tags; where the peer knows something else, it tells that, in
as many messages as it takes, and asks for its own part. So what one node knows all know soon, whoever was told. A peer that can be reached again is
asked at once.

A node that may have missed something is *in doubt* (`Repairing.doubt`) until one peer has told it all: after a standstill, a lost lease, or a time in
which it reached no other node, and before it has asked anybody at all. Meanwhile it gives nothing that has tags and was there before. Where
nobody answers, though not all are out of reach, it gives up the doubt after `DOUBT_MOST_S`: who is left is to serve.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from functools import partial
from typing import Final, Protocol

from zmcache.core import wire
from zmcache.core.ring import JOINING
from zmcache.errors import ZmcacheError
from zmcache.invalidating import Invalidating
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import Mesh

BEAT_S: Final = 1.0
DOUBT_MOST_S: Final = 5.0
_AGAIN_S: Final = 0.1  # in doubt
_AT_ONCE: Final = 3  # peers, in doubt
_ANSWER_S: Final = 1.0

_log = logging.getLogger("zmcache.node")


class Tagged(Protocol):
    """What has tags; a group."""

    tags: Invalidating


class Repairing:
    """Of one node, ``self_id``."""

    def __init__(self, mesh: Mesh, groups: Mapping[str, Tagged], self_id: str) -> None:
        self._mesh = mesh
        self._groups = groups
        self._me = self_id
        self._loop = asyncio.get_running_loop()
        self._doubts = 0
        """How many so far: an answer to what was asked before the last one says nothing of it."""
        self._since_s = 0.0
        self.in_doubt = False
        """Whether it gives nothing that has tags and was there before."""
        self._soon: dict[str, None] = {}
        self._turn = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.repaired = 0
        """How often it was told of something that it had missed."""

    def begin(self) -> None:
        """From now on."""
        self._task = self._loop.create_task(self._run(), name="zmcache repairing")

    async def aclose(self) -> None:
        """No more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def doubt(self) -> None:
        """Something may have been missed until now."""
        if not self.in_doubt:
            self.in_doubt = True
            self._since_s = self._loop.time()
            self._wake.set()
        self._doubts += 1
        for group in self._groups.values():
            group.tags.doubt()

    def ask_soon(self, peer: str) -> None:
        """It can be reached again, or knows something else."""
        self._soon[peer] = None
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            await self._ask(self._due())
            if self.in_doubt:
                self._look()
            if not self._wake.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_AGAIN_S if self.in_doubt else BEAT_S):
                        await self._wake.wait()

    def _due(self) -> list[Channel]:
        """Whom to ask now."""
        others = [channel for channel in map(self._mesh.channel_of, self._others()) if channel is not None]
        soon, self._soon = self._soon, {}
        due = [channel for channel in others if channel.name in soon]
        if others and (self.in_doubt or not due):
            self._turn += 1
            at = self._turn % len(others)
            in_turn = others[at:] + others[:at]
            due += [channel for channel in in_turn if channel not in due][: _AT_ONCE if self.in_doubt else 1]
        return due

    def _others(self) -> list[str]:
        return [m.node_id for m in self._mesh.ring.members if m.node_id != self._me and m.state != JOINING]

    def _look(self) -> None:
        """Whether there is still cause for doubt, though nobody has answered."""
        if self._mesh.is_cut_off:
            self._since_s = self._loop.time()
        elif self._mesh.ring and not self._others():
            self._trust()
        elif self._loop.time() - self._since_s > DOUBT_MOST_S:
            _log.warning("nobody tells which tags were invalidated: what has tags is given as it is")
            self._trust()

    def _trust(self) -> None:
        self.in_doubt = False
        for group in self._groups.values():
            group.tags.trust()

    async def _ask(self, channels: list[Channel]) -> None:
        await asyncio.gather(*(self._ask_one(channel, self._doubts) for channel in channels))

    async def _ask_one(self, channel: Channel, doubts: int) -> None:
        try:
            for name, group in self._groups.items():
                await self._hear_all(channel, name, group.tags)
        except ZmcacheError as error:
            _log.debug("%s does not tell which tags were invalidated: %s", channel.name, error)
            return
        if self.in_doubt and doubts == self._doubts:
            self._trust()

    async def _hear_all(self, channel: Channel, name: str, tags: Invalidating) -> None:
        digests = [tags.generations.digest()]
        is_first = True
        while True:
            reply = await channel.query(
                wire.GENERATIONS,
                self._mesh.clock() + _ANSWER_S,
                name,
                make=partial(_question, digests, self._me),
            )
            if not isinstance(reply, wire.Invalidate):
                return
            is_news = tags.hear(reply.tags, reply.versions, reply.floor)
            self.repaired += is_news
            if not is_news and not is_first:
                return  # what it knows else is older
            is_first = False
            digests = tags.generations.digests()


def _question(digests: list[int], me: str, header: wire.Header) -> wire.Digests:
    return wire.Digests(*header, digests, me)
