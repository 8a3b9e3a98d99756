"""Owners tell who holds copies which keys are in use: or what everybody asks for would, where nobody asks for it, be the first to be evicted.

Once a second some of the keys that were read here, of those that this node owns, in one message to each holder. Nothing waits for an answer, and
what is lost is told again if the key is asked for again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from functools import partial
from typing import Final, Protocol

from zmcache.core import wire
from zmcache.core.holding import Holding, hash_key
from zmcache.core.ring import Ring
from zmcache.peers.mesh import Mesh

_PAUSE_S: Final = 1.0
# Of one group and second: about 3 ms of the owner's time, and of each holder's.
_KEYS_MOST: Final = 2000


class Read(Protocol):
    """What a group shows of what was read."""

    @property
    def copies(self) -> int:
        """How many nodes are to hold each key."""

    def take_used(self) -> list[str]:
        """Some of the keys that were read since the last time it was asked."""


class Usage:
    """Tells of those ``groups`` that have copies, until `close`."""

    def __init__(self, mesh: Mesh, groups: Mapping[str, Read], self_id: str) -> None:
        self._mesh = mesh
        self._groups = {name: group for name, group in groups.items() if group.copies > 1}
        self._me = self_id
        self._loop = asyncio.get_running_loop()
        self._holdings: dict[str, tuple[Ring, Holding]] = {}
        self._timer: asyncio.TimerHandle | None = None
        if self._groups:
            self._timer = self._loop.call_later(_PAUSE_S, self._tell)

    def close(self) -> None:
        """Tell no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _tell(self) -> None:
        self._timer = self._loop.call_later(_PAUSE_S, self._tell)
        ring = self._mesh.ring
        if len(ring) < 2:
            return
        for name, group in self._groups.items():
            known, holding = self._holdings.get(name, (None, None))
            if known is not ring or holding is None:
                holding = Holding(ring, group.copies)
                self._holdings[name] = ring, holding
            for peer, keys in self._by_holder(holding, group.take_used()[:_KEYS_MOST]).items():
                self._send(peer, name, keys)

    def _by_holder(self, holding: Holding, keys: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for key in keys:
            owner, *others = holding.of(hash_key(key))
            if owner == self._me:
                for peer in others:
                    found.setdefault(peer, []).append(key)
        return found

    def _send(self, peer: str, group: str, keys: list[str]) -> None:
        channel = self._mesh.channel_of(peer)
        if channel is not None:
            for at in range(0, len(keys), channel.keys_that_fit):
                part = keys[at : at + channel.keys_that_fit]
                channel.tell(wire.USED, group, partial(_used, part))


def _used(keys: list[str], header: wire.Header) -> wire.Message:
    return wire.Delete(*header, keys)
