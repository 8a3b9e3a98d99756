"""The target that is meant: a group of a running cluster, through the client library.

Thin on purpose. The one thing decided here is which errors mean that the whole run is pointless: the group does not
exist, or the addresses cannot be understood.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import zmcache

from ..errors import TargetRefused, TargetUnavailable
from .base import ABSENT, Answer, NodeCounters


class ZmcacheTarget:
    """One group, through a client that somebody else opened and closes."""

    def __init__(self, client: zmcache.Cache, group: str, description: Mapping[str, str] | None = None) -> None:
        self._client = client
        self._group = client.group(group)
        self._fetch = self._group.fetch
        self._loads = f"group.{group}.loads"
        self._description = {"kind": "zmcache", "group": group, **(description or {})}

    @property
    def description(self) -> Mapping[str, str]:
        """The kind, the group, and what the opener added (nodes, route)."""
        return self._description

    async def read(self, key: str) -> Answer:
        """One `fetch`. Raises what the client raises, `TargetRefused` for a group that does not exist."""
        try:
            item = await self._fetch(key)
        except zmcache.UnknownGroup as exc:
            raise TargetRefused(str(exc)) from exc
        return ABSENT if item is None else (item.source, item.value)  # type: ignore[return-value]  # a cast is a call

    async def read_many(self, keys: list[str]) -> list[bytes | None]:
        """One `get_many`. Raises as `read` does, and `PartialResult` when some of the keys failed."""
        try:
            found = await self._group.get_many(keys)
        except zmcache.UnknownGroup as exc:
            raise TargetRefused(str(exc)) from exc
        except zmcache.PartialResult as exc:
            for error in exc.errors.values():
                if isinstance(error, zmcache.UnknownGroup):
                    raise TargetRefused(str(error)) from exc
            raise
        return [found.get(key) for key in keys]

    async def write(self, key: str, value: bytes, ttl_s: float) -> None:
        """One `set`; 0.0: with the group's own expiry. Raises as `read` does."""
        try:
            if ttl_s:
                await self._group.set(key, value, ttl=ttl_s)
            else:
                await self._group.set(key, value)
        except zmcache.UnknownGroup as exc:
            raise TargetRefused(str(exc)) from exc

    async def delete(self, key: str) -> None:
        """One `delete`. Raises as `read` does."""
        try:
            await self._group.delete(key)
        except zmcache.UnknownGroup as exc:
            raise TargetRefused(str(exc)) from exc

    async def counters(self) -> Mapping[str, NodeCounters]:
        """The nodes' statistics, reduced to requests and to this group's loads."""
        try:
            statistics = await self._client.statistics()
        except zmcache.ZmcacheError as exc:
            raise TargetUnavailable(str(exc)) from exc
        if not statistics:
            raise TargetUnavailable("no node answers")
        return {
            node_id: NodeCounters(int(counted.get("requests", 0)), int(counted.get(self._loads, 0)))
            for node_id, counted in statistics.items()
        }


@asynccontextmanager
async def open_zmcache(
    nodes: str, group: str, *, route: str = "owner", timeout_s: float = 3.0
) -> AsyncIterator[ZmcacheTarget]:
    """Connect to ``nodes`` (``host:port``, comma between), for as long as the context lasts.

    ``route`` is ``"owner"`` or ``"any"``; ``timeout_s`` is the deadline of each call, in seconds. Raises
    `TargetRefused` for addresses that cannot be understood and `TargetUnavailable` when no node answers.
    """
    async with AsyncExitStack() as stack:
        try:
            client = await stack.enter_async_context(zmcache.connect(nodes, route=route, timeout=timeout_s))
            target = ZmcacheTarget(client, group, {"nodes": nodes, "route": route})
        except (zmcache.ConfigError, zmcache.RequestError, ValueError) as exc:
            raise TargetRefused(str(exc)) from exc
        except zmcache.ZmcacheError as exc:
            raise TargetUnavailable(str(exc)) from exc  # the client names the addresses
        yield target
