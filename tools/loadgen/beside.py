"""A cluster of one's own under the load, and the script of what befalls it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Self

from .cluster import Cluster
from .script import Event, Happened, check_script, load_script, run_script


class Scripted:
    """``async with scripted.serving() as addresses``, and within it `playing` for as long as a run counts."""

    def __init__(self, cluster: Cluster, events: Sequence[Event]) -> None:
        self._cluster = cluster
        self._events = events

    @classmethod
    def from_files(cls, cluster_file: Path, script: Path | None, *, duration_s: float | None) -> Self:
        """Raises `LoadgenError` where either file is wrong, or the script asks for what the cluster has not."""
        cluster = Cluster.from_file(cluster_file)
        events = [] if script is None else load_script(script)
        check_script(events, cluster, duration_s=duration_s)
        return cls(cluster, events)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Sequence[str]]:
        """Start the nodes; the addresses of those that run."""
        async with self._cluster:
            yield self._cluster.addresses

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[Sequence[Mapping[str, object]]]:
        """From now on the script's time goes by; what has happened is in the list, complete when the context ends."""
        happened: list[Happened] = []
        playing = asyncio.create_task(run_script(self._events, self._cluster, perf_counter(), happened.append))
        try:
            yield happened
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
