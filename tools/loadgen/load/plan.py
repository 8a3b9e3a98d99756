"""What a run is to do, as plain data: it can be shown, and handed to another process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..workloads.base import Workload

Arrivals = Literal["constant", "poisson", "recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """Callers that each ask again when they were answered."""

    callers: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Arrivals that wait for nobody.

    ``rate``: requests a second (None: as the trace recorded them). ``max_in_flight``: arrivals beyond so many
    unanswered requests are skipped, and counted.
    """

    rate: float | None
    arrivals: Arrivals = "constant"
    max_in_flight: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """What `zmcache_loadgen.targets.opening.open_target` needs to open the target."""

    target: str
    group: str = "items"
    route: Literal["owner", "any"] = "owner"
    timeout_s: float = 3.0

    @property
    def only_ours(self) -> bool:
        """Whether nothing is stored there but what a run writes: it loads nothing by itself."""
        return self.target.partition(":")[0] in ("redis", "memcached", "dict")

    @property
    def shared(self) -> bool:
        """Whether several processes can use it together."""
        return self.target.partition(":")[0] not in ("embedded", "dict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One run. ``duration_s`` and ``requests`` bound it, warm-up not counted; None: no such bound."""

    destination: Destination
    workload: Workload
    loop: Closed | Open
    duration_s: float | None = None
    requests: int | None = None
    warmup_s: float = 0.0
    load_first: bool = False
    verify: bool = False
    verify_loader: str | None = None
    worker: int = 0
    workers: int = 1

    @property
    def title(self) -> str:
        """In a line."""
        loop = (
            f"{self.loop.callers} callers"
            if isinstance(self.loop, Closed)
            else f"{self.loop.rate or 'recorded'} requests/s"
        )
        return f"{self.workload.description['kind']} against {self.destination.target}, {loop}"

    @property
    def connections(self) -> int:
        """How many requests can be under way at once, for targets that need a connection for each."""
        return self.loop.callers if isinstance(self.loop, Closed) else min(self.loop.max_in_flight, 256)
