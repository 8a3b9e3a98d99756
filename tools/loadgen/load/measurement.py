"""All that one process has seen of a run. It is plain data when it is done, and several add up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from .recorder import Counted, Outcome, Recorder, Second, merged
from .selfcheck import SelfCheck
from .tally import Keys, KeyTally

_MAX_ERROR_CHARS = 200
_MAX_CLASSES = 50  # an error's class is what tells it apart; a target that invents classes must not fill the memory


class Row(NamedTuple):
    """One second of the run."""

    second: int
    seen: Second
    skipped: int


@dataclass(slots=True)
class Seen:
    """What a process hands over when its run is over. ``verified`` is None where nothing was verified."""

    responses: dict[Outcome, Counted]
    services: dict[Outcome, Counted] | None
    rows: list[Row]
    errors: dict[str, int]
    first_errors: dict[str, str]
    skipped: int
    seconds: float
    keys: Keys
    check: SelfCheck
    partial: str | None = None
    verified: dict[str, object] | None = None


@dataclass(slots=True)
class Measurement:
    """What a process has seen so far. ``services`` is there in an open loop only."""

    services: Recorder | None = None
    responses: Recorder = field(default_factory=Recorder)
    keys: KeyTally = field(default_factory=KeyTally)
    rows: list[Row] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)
    first_errors: dict[str, str] = field(default_factory=dict)
    skipped: int = 0
    _skipped_before: int = 0

    def another(self) -> Measurement:
        """An empty one of the same kind, which keeps no keys."""
        return Measurement(None if self.services is None else Recorder(), keys=KeyTally(limit=0))

    def count_error(self, exc: Exception) -> Literal["failed"]:
        """One request failed with that."""
        name = type(exc).__name__
        if name not in self.errors and len(self.errors) >= _MAX_CLASSES:
            name = "others"
        self.errors[name] += 1
        if name not in self.first_errors:
            self.first_errors[name] = " ".join(str(exc).split())[:_MAX_ERROR_CHARS]
        return "failed"

    def cut_second(self) -> Row:
        """One more second is over."""
        row = Row(len(self.rows), self.responses.cut_second(), self.skipped - self._skipped_before)
        self._skipped_before = self.skipped
        self.keys.settle()
        self.rows.append(row)
        return row


def together(parts: list[Seen]) -> Seen:
    """What several processes have seen in the same seconds."""
    first = parts[0]
    errors: Counter[str] = Counter()
    first_errors: dict[str, str] = {}
    for part in parts:
        errors.update(part.errors)
        first_errors = part.first_errors | first_errors
    services = [part.services for part in parts if part.services is not None]
    return Seen(
        responses=_outcomes_together(part.responses for part in parts),
        services=_outcomes_together(services) if services else None,
        rows=_rows_together([part.rows for part in parts]),
        errors=dict(errors),
        first_errors=first_errors,
        skipped=sum(part.skipped for part in parts),
        seconds=max(part.seconds for part in parts),
        keys=Keys.together([part.keys for part in parts]),
        check=first.check,
        partial=next((part.partial for part in parts if part.partial), None),
        verified=_verified_together([part.verified for part in parts if part.verified is not None]),
    )


def row_together(rows: list[Row]) -> Row:
    """One second of several processes. Of their percentiles the worst is told: they cannot be added."""
    counts: Counter[Outcome] = Counter()
    for row in rows:
        counts.update(row.seen.counts)
    columns = zip(*[row.seen[1:] for row in rows], strict=True)
    p50, p99, longest = (max((value for value in column if value is not None), default=None) for column in columns)
    return Row(rows[0].second, Second(dict(counts), p50, p99, longest), sum(row.skipped for row in rows))


def _rows_together(parts: list[list[Row]]) -> list[Row]:
    every = range(max(map(len, parts)))
    return [row_together([rows[second] for rows in parts if second < len(rows)]) for second in every]


def _outcomes_together(parts: Iterable[dict[Outcome, Counted]]) -> dict[Outcome, Counted]:
    kept = list(parts)
    return {outcome: merged(part[outcome] for part in kept) for outcome in kept[0]}


def _verified_together(parts: list[dict[str, object]]) -> dict[str, object] | None:
    if not parts:
        return None
    total: dict[str, object] = {}
    for part in parts:
        for name, value in part.items():
            before = total.get(name)
            total[name] = value if before is None else before + value  # type: ignore[operator]  # numbers, and lists of texts
    return total
