"""A result as frozen data, from the JSON that a run wrote (schema 2; docs/loadgen-result.schema.json describes it).

Only what is shown is read here, and every part of that is checked while it is read: a file of another schema, a damaged
one, or something else altogether is refused in one line that names the place. Keys that are not known are left alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from ..errors import LoadgenError

SCHEMA: Final = 2
TOOL: Final = "zmcache-loadgen"


class NotAResult(LoadgenError):
    """The file cannot be read as results; the text names it and what is wrong with it."""


class Latency(Struct, frozen=True):
    """Microseconds; None without samples."""

    count: int
    mean: float | None
    p50: float | None
    p90: float | None
    p99: float | None
    p999: float | None = field(name="p99.9")
    max: float | None


class Latencies(Struct, frozen=True):
    """By what was asked and how it was answered; ``all`` includes failed requests."""

    all: Latency
    hits: Latency
    misses: Latency
    writes: Latency

    def named(self) -> dict[str, Latency]:
        """Each by its name; ``all`` is always there, the others where there are any."""
        others = {"hits": self.hits, "misses": self.misses, "writes": self.writes}
        return {"all": self.all, **{name: latency for name, latency in others.items() if latency.count}}


Points = list[tuple[float, float]]
"""(percentile from 0 to 100, microseconds), both ascending."""


class Percentiles(Struct, frozen=True):
    """Of ``latency_us``, and of ``service_us``; empty without samples."""

    all: Points = []
    hits: Points = []
    misses: Points = []
    service: Points = []


class Loop(Struct, frozen=True):
    """``kind`` is "closed" or "open"."""

    kind: str
    callers: int | None = None
    rate: float | None = None
    arrivals: str | None = None
    max_in_flight: int | None = None


class ErrorClass(Struct, frozen=True):
    """How often, and the text of the first."""

    count: int
    first: str


class Errors(Struct, frozen=True):
    """What failed."""

    total: int
    by_class: dict[str, ErrorClass] = {}


class Second(Struct, frozen=True):
    """What came to an end in one second of the run."""

    second: int
    requests: int
    reads: int
    hits: int
    errors: int
    skipped: int
    loads: int
    p50_us: float | None
    p99_us: float | None
    max_us: float | None


class Event(Struct, frozen=True):
    """Something that a script did beside the load."""

    at_s: float
    what: str
    ok: bool = True
    detail: str = ""


class Spread(Struct, frozen=True):
    """Milliseconds."""

    p50: float
    p99: float
    max: float


class Generator(Struct, frozen=True):
    """What the generator saw of itself."""

    cpu_share: float
    lag_ms: Spread
    achieved_rate: float
    pacing_ms: Spread | None = None
    intended_rate: float | None = None


class Verified(Struct, frozen=True):
    """Values that were checked against what had been written."""

    checked: int
    wrong: int
    stale: int
    torn: int
    unverified: int = 0
    first: list[str] = []


class Loads(Struct, frozen=True):
    """Keys that the nodes' loaders were asked for, beside the different keys that were read."""

    loaded: int
    loaded_exact: bool
    distinct_keys: int
    distinct_exact: bool


class Node(Struct, frozen=True):
    """What one node counted meanwhile."""

    requests: int
    loads: int
    state: str


class Expectation(Struct, frozen=True):
    """A threshold and how it came out."""

    text: str
    value: float | None
    holds: bool
    why: str = ""


class Result(Struct, frozen=True):
    """One run. The fields are the JSON's."""

    version: str
    started_at: str
    partial: str | None
    valid: bool
    bottlenecks: list[str]
    loop: Loop
    workers: int
    seed: int | None
    target: dict[str, Any]
    workload: dict[str, Any]
    warmup_s: float
    seconds: float
    requests: int
    reads: int
    requests_per_s: float
    skipped: int
    errors: Errors
    latency_us: Latencies
    service_us: Latencies | None
    tiers: dict[str, int]
    hit_ratio: float | None
    percentiles: Percentiles
    series: list[Second]
    events: list[Event]
    generator: Generator
    verify: Verified | None
    loads: Loads
    nodes: dict[str, Node]
    expectations: list[Expectation]


def read_results(path: Path) -> list[Result]:
    """The runs that the file holds, at least one. Raises `NotAResult`."""
    try:
        text = path.read_bytes()
    except OSError as exc:
        raise NotAResult(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise NotAResult(f"{path}: not JSON: {exc}") from exc
    if not isinstance(found, dict) or "schema" not in found:
        raise NotAResult(f"{path}: not a result of zmcache-loadgen: it names no schema")
    tool = found.get("tool", TOOL)  # several runs in one file are named by each of them
    if found["schema"] != SCHEMA or tool != TOOL:
        raise NotAResult(f"{path}: schema {found['schema']!r} of {tool}; only schema {SCHEMA} of {TOOL} is read here")
    try:
        runs = msgspec.convert(found["runs"], list[Result]) if "runs" in found else [msgspec.convert(found, Result)]
    except msgspec.ValidationError as exc:
        raise NotAResult(f"{path}: not a whole result: {exc}") from exc
    if not runs:
        raise NotAResult(f"{path}: holds no run")
    return runs
