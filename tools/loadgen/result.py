"""What a run amounts to: frozen data, for the report and for programs that drive load themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of latencies, in microseconds; without samples there is nothing to say but the count."""

    count: int
    mean_us: float | None = None
    p50_us: float | None = None
    p90_us: float | None = None
    p99_us: float | None = None
    p999_us: float | None = None
    max_us: float | None = None


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """Failed requests of one class: how many, and what the first one said."""

    name: str
    count: int
    first: str


class NodeShare(NamedTuple):
    """What one node counted while the run lasted.

    ``state``: ``"stayed"``, ``"joined"``, ``"left"`` or ``"restarted"``. Of a node that left or restarted, what it
    counted after it was last looked at is lost.
    """

    requests: int
    loads: int
    state: Literal["stayed", "joined", "left", "restarted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run.

    ``latencies``: by ``all`` (failed requests too: a timeout belongs in the tail), ``hits``, ``misses`` (loaded, or no
    such key) and ``writes``. ``outcomes``: how many requests ended as ``hot``, ``owner``, ``load``, ``absent``,
    ``written``, ``failed``. ``distinct_keys``: different keys that were read, at least so many where ``distinct_exact``
    is False. ``loads_exact``: False where a node's last counts may be missing from ``nodes``. ``partial``: why the run
    ended before it was meant to, or None.
    """

    loop: Literal["closed"]
    callers: int
    seed: int | None
    target: Mapping[str, str]
    workload: Mapping[str, object]
    seconds: float
    outcomes: Mapping[str, int]
    latencies: Mapping[str, Latency]
    errors: tuple[ErrorClass, ...]
    nodes: Mapping[str, NodeShare]
    distinct_keys: int
    distinct_exact: bool
    loads_exact: bool
    partial: str | None

    @property
    def requests(self) -> int:
        """All requests that came to an end, the failed ones too."""
        return sum(self.outcomes.values())

    @property
    def failed(self) -> int:
        """Requests that raised."""
        return self.outcomes["failed"]

    @property
    def requests_per_s(self) -> float:
        """The rate of requests that did not fail: refusing fast is not serving fast."""
        return (self.requests - self.failed) / self.seconds if self.seconds else 0.0

    @property
    def hits(self) -> int:
        """Reads answered from memory, anybody's."""
        return self.outcomes["hot"] + self.outcomes["owner"]

    @property
    def hit_ratio(self) -> float | None:
        """Hits among the reads that did not fail; None when there were none."""
        reads = self.hits + self.outcomes["load"] + self.outcomes["absent"]
        return self.hits / reads if reads else None

    @property
    def loads(self) -> int:
        """Keys that the nodes' loaders were asked for during the run, whoever asked."""
        return sum(share.loads for share in self.nodes.values())
