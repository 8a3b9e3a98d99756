"""Asking nodes to leave, or to begin anew, and waiting for it: what `zmcache leave` and `zmcache rolling-restart` have in common.

A node that leaves says itself when it has handed over; from then on it answers for half a second of quiet at least, which is longer than between
two looks. It is back when it says that it has been up for less time than has gone by since it was asked, and serves.

At rest is a cluster in which every node answers and serves, all by the same ring, and none has anything to hand over or waits for it. Seen twice: in
between what one of them has just been told (a ring, that another one is back) has become something to do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from zmcache.cli.cluster import Cluster, Seen, View
from zmcache.cli.ending import MISUSED, Ended
from zmcache.cli.progress import Progress
from zmcache.config import format_duration, format_size
from zmcache.core.ring import SERVING
from zmcache.errors import MeshError, PeerUnavailable, RequestError

_PAUSE_S: Final = 0.15
_STATIC_REVISION: Final = 0


class Waiting:
    """Asks and waits on behalf of one command; each wait takes ``timeout_s`` at the most. All of it ends the command where it fails."""

    def __init__(self, cluster: Cluster, progress: Progress, timeout_s: float) -> None:
        self._cluster = cluster
        self._progress = progress
        self._timeout_s = timeout_s

    async def find(self, node_id: str) -> View:
        """A look at the cluster, where that node is."""
        view = await self._cluster.look()
        if node_id not in view.nodes:
            raise Ended(f"there is no node {node_id!r} in the ring; there are: {', '.join(view.nodes)}")
        return view

    async def leave(self, node_id: str) -> str:
        """Until it is off the ring and has handed over what it held; in words what came of it."""
        first = await self.find(node_id)
        if first.revision == _STATIC_REVISION:
            raise Ended(
                f"{node_id} cannot leave: the members are a fixed list (discovery.static), in which it would stay"
            )
        await self._ask(node_id, anew=False)
        deadline_s = time.monotonic() + self._timeout_s
        is_last = len(first.nodes) == 1
        handed_over, latest = False, first.nodes[node_id]
        while True:
            view = await self._look(or_nobody=is_last)
            if view is None or node_id not in view.nodes:
                break
            seen = view.nodes[node_id]
            latest = seen if seen.figures is not None else latest
            handed_over |= bool(seen.figures and seen.figures.get("handed_over"))
            self._progress.now(_doing(node_id, seen), _how_far(seen))
            if time.monotonic() >= deadline_s:
                raise Ended(self._not_gone(node_id, seen))
            await asyncio.sleep(_PAUSE_S)
        if is_last:
            return f"{node_id} has left; it was the last one, and nobody holds what it held"
        if not handed_over:
            raise Ended(
                f"{node_id} has left, and may not have handed over all that it held; see its log, and node.drain_timeout"
            )
        keys, size = (_since(first.nodes[node_id], latest, f"handover.{name}") for name in ("keys", "bytes"))
        return f"{node_id} has left; handed over: {keys:,.0f} keys, {format_size(int(size))}"

    async def restart(self, node_id: str) -> str:
        """Until it has begun anew, and serves; in words how long it took."""
        first = await self.find(node_id)
        # Where there is nobody to hand over to, or who leaves stays in the list, there is nothing to be said of it.
        handed_over = first.revision == _STATIC_REVISION or len(first.nodes) == 1
        asked_s = time.monotonic()
        await self._ask(node_id, anew=True)
        while True:
            view = await self._look(or_nobody=True)
            seen = None if view is None else view.nodes.get(node_id)
            since_s = time.monotonic() - asked_s
            if seen is not None and seen.figures is not None and seen.figures["uptime_s"] < since_s and _serves(seen):
                if not handed_over:
                    raise Ended(
                        f"{node_id} serves again, and may not have handed over all that it held before; see its log, and node.drain_timeout"
                    )
                return f"{node_id} serves again, after {since_s:.1f} s"
            handed_over |= bool(seen is not None and seen.figures and seen.figures.get("handed_over"))
            self._progress.now(_doing(node_id, seen), _how_far(seen))
            if since_s >= self._timeout_s:
                state = "in the ring" if seen is not None else "not in the ring"
                answers = "answers" if seen is not None and seen.figures is not None else "does not answer"
                raise Ended(f"{node_id} does not serve again {self._after()}: it is {state} and {answers}; see its log")
            await asyncio.sleep(_PAUSE_S)

    async def rest(self, doing: str) -> View:
        """Until nobody has anything to hand over; ``doing`` says what for."""
        deadline_s = time.monotonic() + self._timeout_s
        times = 0
        while True:
            view = await self._cluster.look()
            why = _unrest(view)
            times = 0 if why else times + 1
            if times > 1:
                return view
            if why:
                self._progress.now(f"{doing}: {why}", _sent(view))
            if time.monotonic() >= deadline_s:
                raise Ended(f"{doing}, but not {self._after()}: {why}")
            await asyncio.sleep(_PAUSE_S)

    async def _ask(self, node_id: str, *, anew: bool) -> None:
        try:
            await self._cluster.ask_to_leave(node_id, anew=anew)
        except RequestError as error:
            raise Ended(f"{node_id} cannot be asked to leave: {error}", MISUSED) from error
        except MeshError as error:
            raise Ended(f"{node_id} cannot be asked to leave: {error}") from error

    async def _look(self, *, or_nobody: bool) -> View | None:
        try:
            return await self._cluster.look()
        except PeerUnavailable:
            if or_nobody:
                return None
            raise

    def _after(self) -> str:
        return f"after {format_duration(self._timeout_s)}"

    def _not_gone(self, node_id: str, seen: Seen) -> str:
        if seen.figures is not None:
            return f"{node_id} has not left {self._after()}: {_doing(node_id, seen)}, and goes on"
        return f"{node_id} does not answer any more, but {self._after()} it is still in the ring: is etcd away?"


def _serves(seen: Seen) -> bool:
    return seen.member.state == SERVING and bool(seen.figures and seen.figures.get("serving", 1.0))


def _since(before: Seen, after: Seen, name: str) -> float:
    return (after.figures or {}).get(name, 0.0) - (before.figures or {}).get(name, 0.0)


def _doing(node_id: str, seen: Seen | None) -> str:
    if seen is None:
        return f"{node_id} is not in the ring"
    if seen.figures is None:
        return f"{node_id} does not answer"
    return f"{node_id} is {seen.member.state}"


def _how_far(seen: Seen | None) -> str:
    if seen is None or not seen.figures or not seen.figures.get("handover.under_way"):
        return ""
    figures = seen.figures
    keys, size = figures.get("handover.keys_now", 0.0), figures.get("handover.bytes_now", 0.0)
    return f"handed over {keys:,.0f} keys, {format_size(int(size))}" if keys else ""


def _unrest(view: View) -> str:
    """Why the cluster is not at rest; empty: it is."""
    of: list[tuple[Callable[[Seen], bool], str]] = [
        (lambda seen: seen.figures is None, "no answer from"),
        (lambda seen: not _serves(seen), "not serving:"),
        (lambda seen: seen.digest != view.digest, "not at the newest ring:"),
        (lambda seen: seen.is_handing_over, "handing over:"),
        (lambda seen: bool(seen.suspected_by), "not used by all others:"),
    ]
    for is_so, words in of:
        found = [node_id for node_id, seen in view.nodes.items() if is_so(seen)]
        if found:
            return f"{words} {', '.join(found)}"
    return ""


def _sent(view: View) -> str:
    keys = sum((seen.figures or {}).get("handover.keys_now", 0.0) for seen in view.nodes.values())
    size = sum((seen.figures or {}).get("handover.bytes_now", 0.0) for seen in view.nodes.values())
    return f"{keys:,.0f} keys, {format_size(int(size))} so far" if keys else ""
