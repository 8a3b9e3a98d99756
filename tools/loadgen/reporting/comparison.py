"""One result against another: how much each figure differs, and whether that is more than runs differ among themselves.

A file with several runs shows how far its figures spread with nothing changed. Where the spreads of two files overlap,
their difference is within the spread and says nothing; with one run each nobody knows, and that is said. Medians are
compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from .numbers import told, whole
from .results import Latencies, Result
from .wording import loop_in_words, parameters_in_words

Better = Literal["less", "more"]
Runs = Sequence[Result]


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that is compared: where it is in a result (None: not there), in which unit, and what is better."""

    name: str
    unit: str
    better: Better
    of: Callable[[Result], float | None]


@dataclass(frozen=True, slots=True)
class Found:
    """A figure in all runs of one file."""

    lowest: float
    median: float
    highest: float
    runs: int


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure in two files. ``percent`` is None where the first is zero and the second is not."""

    figure: Figure
    before: Found | None
    after: Found | None
    percent: float | None
    verdict: str


def _latency_figures(word: str, of: Callable[[Result], Latencies | None], kinds: Sequence[str]) -> list[Figure]:
    def measure(kind: str, name: str) -> Callable[[Result], float | None]:
        def get(result: Result) -> float | None:
            latencies = of(result)
            return None if latencies is None else getattr(getattr(latencies, kind), name)

        return get

    shown = {"mean": "mean", "p50": "p50", "p90": "p90", "p99": "p99", "p99.9": "p999", "max": "max"}
    few = {"p50": "p50", "p99": "p99"}
    return [
        Figure(
            " ".join(filter(None, (word, name, "" if kind == "all" else f"of {kind}"))),
            "us",
            "less",
            measure(kind, field),
        )
        for kind in kinds
        for name, field in (shown if kind == "all" else few).items()
    ]


FIGURES: Final[Sequence[Figure]] = (
    Figure("requests a second", "/s", "more", lambda result: result.requests_per_s),
    *_latency_figures("", lambda result: result.latency_us, ("all", "hits", "misses", "writes")),
    *_latency_figures("service time", lambda result: result.service_us, ("all",)),
    Figure("hit ratio", "share", "more", lambda result: result.hit_ratio),
    Figure("keys loaded", "", "less", lambda result: result.loads.loaded if result.nodes else None),
    Figure("errors", "", "less", lambda result: result.errors.total),
    Figure("skipped", "", "less", lambda result: result.skipped),
)


def compared(before: Runs, after: Runs) -> list[Difference]:
    """Every figure that at least one of the two has."""
    differences: list[Difference] = []
    for figure in FIGURES:
        first, second = found(figure, before), found(figure, after)
        if first is None and second is None:
            continue
        percent = None if first is None or second is None else _percent(first.median, second.median)
        differences.append(Difference(figure, first, second, percent, _verdict(figure, first, second)))
    return differences


def found(figure: Figure, runs: Runs) -> Found | None:
    """The figure in these runs; None where no run has it."""
    values = [value for value in map(figure.of, runs) if value is not None]
    if not values:
        return None
    return Found(min(values), statistics.median(values), max(values), len(values))


_ALIKE: Final[Mapping[str, Callable[[Result], str]]] = {
    "loops": lambda result: loop_in_words(result.loop),
    "workloads": lambda result: parameters_in_words(result.workload),
    "numbers of processes": lambda result: whole(result.workers),
}
"""What has to be alike for latencies to be compared. Targets need not be: they may be what is compared."""


def cautions(named: Sequence[tuple[str, Runs]]) -> list[str]:
    """Why the comparison may mislead, a line each: unlike loops or workloads; a run that does not count."""
    lines: list[str] = []
    for what, of in _ALIKE.items():
        seen: dict[str, str] = {}
        for name, runs in named:
            for run in runs:
                seen.setdefault(of(run), name)
        if len(seen) > 1:
            lines.append(f"the {what} differ: {'; '.join(f'{name}: {text}' for text, name in seen.items())}")
    for name, runs in named:
        for number, run in enumerate(runs, 1):
            which = name if len(runs) == 1 else f"{name}, run {number}"
            if run.partial:
                lines.append(f"{which} is partial: {run.partial}")
            if not run.valid:
                lines.append(
                    f"{which} is not valid: {'; '.join(run.bottlenecks) or 'the generator was the bottleneck'}"
                )
    return lines


def in_words(figure: Figure, value: Found | None) -> str:
    """The median, with the least and the most where the runs differ."""
    if value is None:
        return told(None)
    middle = told(value.median, figure.unit)
    return (
        middle
        if value.lowest == value.highest
        else f"{middle} ({told(value.lowest, figure.unit)} to {told(value.highest, figure.unit)})"
    )


def _percent(before: float, after: float) -> float | None:
    if before == after:
        return 0.0
    return None if before == 0 else 100 * (after - before) / before


def _verdict(figure: Figure, before: Found | None, after: Found | None) -> str:
    if before is None or after is None:
        return "not in both"
    if before.median == after.median:
        return "the same"
    if before.runs == 1 and after.runs == 1:
        return f"{_direction(figure, before, after)}; one run each, the spread is not known"
    if before.lowest <= after.highest and after.lowest <= before.highest:
        return "within the spread"
    if before.runs == 1 or after.runs == 1:
        return f"{_direction(figure, before, after)}; one run only, its spread is not known"
    return f"{_direction(figure, before, after)}, beyond the spread"


def _direction(figure: Figure, before: Found, after: Found) -> str:
    less = after.median < before.median
    return "better" if less == (figure.better == "less") else "worse"
