"""A group of a node in this very process, as a program has it that embeds one: its hits cost no message.

A hit is taken with `get_nowait`, which is what a program would do on its hot path, and which does not say whose copy it
was. So the ring is asked: what another node owns was a hot copy here. That costs half a microsecond; a node that is
alone owns everything, and is spared the question.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import zmcache

from ..errors import TargetRefused, TargetUnavailable
from .base import ABSENT, Answer, NodeCounters

_ASKED: Final = ("hits", "hot_hits", "misses", "sets", "deletes")


class EmbeddedTarget:
    """One group of a node that somebody else started and stops. ``timeout_s`` is the deadline of each call, in seconds."""

    def __init__(
        self, node: zmcache.Node, group: str, *, timeout_s: float = 3.0, description: Mapping[str, str] | None = None
    ) -> None:
        self._node = node
        self._name = group
        self._group = node.group(group)
        self._get_nowait = self._group.get_nowait
        self._is_ours = node.is_ours
        self._alone = node.config.discovery.etcd is None and len(node.ring().members) == 1
        self._timeout_s = timeout_s
        self._description = {"kind": "embedded", "group": group, **(description or {})}

    @property
    def description(self) -> Mapping[str, str]:
        """The kind, the group, and what the opener added (file)."""
        return self._description

    async def read(self, key: str) -> Answer:
        """What this node holds, else one `fetch`. Raises what the group raises."""
        value = self._get_nowait(key)
        if value is not None:
            return ("owner" if self._alone or self._is_ours(key) else "hot"), value
        item = await self._group.fetch(key, timeout=self._timeout_s)
        return ABSENT if item is None else (item.source, item.value)  # type: ignore[return-value]  # a cast is a call

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """One `get_many`. Raises what the group raises, `PartialResult` when some of the keys failed."""
        found = await self._group.get_many(keys, timeout=self._timeout_s)
        return [found.get(key) for key in keys]

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """One `set`; 0.0: with the group's own expiry."""
        if ttl_s:
            await self._group.set(key, value, ttl=ttl_s, timeout=self._timeout_s)
        else:
            await self._group.set(key, value, timeout=self._timeout_s)

    async def delete(self, key: str) -> None:
        """One `delete`."""
        await self._group.delete(key, timeout=self._timeout_s)

    async def counters(self) -> Mapping[str, NodeCounters]:
        """Those of this node alone: the group's hits, misses and writes, and its loads."""
        try:
            counted = self._node.statistics()
        except zmcache.ZmcacheError as exc:
            raise TargetUnavailable(str(exc)) from exc
        asked = sum(counted[f"group.{self._name}.{name}"] for name in _ASKED)
        return {self._node.member.node_id: NodeCounters(int(asked), int(counted[f"group.{self._name}.loads"]))}


@asynccontextmanager
async def open_embedded(file: str, group: str, *, timeout_s: float = 3.0) -> AsyncIterator[EmbeddedTarget]:
    """Start the node of a YAML file; it leaves its cluster and stops when the context ends.

    Raises `TargetRefused` for a file that says something wrong or names no such group, an address in use among it, and
    `TargetUnavailable` when its cluster cannot be found.
    """
    async with AsyncExitStack() as stack:
        try:
            node = await stack.enter_async_context(zmcache.Node.from_yaml(file))
            target = EmbeddedTarget(node, group, timeout_s=timeout_s, description={"file": file})
        except (zmcache.ConfigError, zmcache.UnknownGroup) as exc:
            raise TargetRefused(str(exc)) from exc
        except zmcache.ZmcacheError as exc:
            raise TargetUnavailable(str(exc)) from exc
        yield target
