"""Thresholds, as k6 has them: what a run has to have shown so that it counts as passed.

An expectation is a metric, a comparison and a limit: ``p99<5ms``, ``hits.p99.9<=2ms``, ``hit_ratio>0.9``,
``rate>=50k``, ``errors==0``. The limit may be another metric of the same kind: ``loads<=distinct_keys``. It is judged on
the result as JSON (schema 2) and on nothing else, so that an old result can be judged as well as a fresh one.

What cannot be known does not hold: a metric without a value (a hit ratio where nothing was read), or a count that is
only "at least so many" where the expectation asks for at most.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypedDict

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .errors import LoadgenError
from .metrics import Kind, Metric, Reading, find_metric, metric_names

Op = Literal["<", "<=", ">", ">=", "==", "!="]

_OPS: Final[Mapping[Op, Callable[[float, float], bool]]] = {
    "<=": operator.le, ">=": operator.ge, "==": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt,
}  # fmt: skip
_FORM: Final = re.compile(r"\s*([A-Za-z][\w.]*)\s*(<=|>=|==|!=|<|>)\s*(\S.*?)\s*")
_NUMBER: Final = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*([^\d\s.].*)?")
_UNITS: Final[Mapping[Kind, Mapping[str, float]]] = {
    "time": {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6},
    "ratio": {"": 1.0, "%": 0.01},
    "count": {"": 1.0, "k": 1e3, "M": 1e6},
    "rate": {"": 1.0, "k": 1e3, "M": 1e6, "/s": 1.0, "k/s": 1e3, "M/s": 1e6},
}
"""What a limit's unit is worth in the result's own: microseconds, shares of one, plain numbers."""
_UNIT_AT_END: Final = re.compile(r"[\d.]\s*(us|µs|ms|s|%)\s*$")
_SHOWN_IN: Final = ("us", "µs", "ms", "s", "%")
"""A value is told in the limit's unit where that is one of these; nobody reads 51.3 as thousands."""


class ExpectationError(LoadgenError):
    """It does not parse; the text says what there is."""


class Verdict(TypedDict):
    """How an expectation came out, as it stands in the result. ``value`` is in the unit in which the limit was written
    (``p99<5ms``: milliseconds; a percentage where there is a %), otherwise in the result's own; None where there is
    none. ``why`` says what kept it from being judged, and is empty otherwise.
    """

    text: str
    value: float | None
    holds: bool
    why: str


@dataclass(frozen=True, slots=True)
class Expectation:
    """One expectation; ``limit`` is in the result's own unit, and ``unit`` is what one of the written ones is in it."""

    text: str
    metric: Metric
    op: Op
    limit: float | Metric
    unit: float = 1.0


def parse(text: str) -> Expectation:
    """Read one expectation. Raises `ExpectationError`."""
    form = _FORM.fullmatch(text)
    if form is None:
        raise ExpectationError(
            f"{text!r} is no expectation: a metric, one of {' '.join(_OPS)}, and a limit, such as p99<5ms, hit_ratio>0.9 or errors==0"
        )
    metric = find_metric(form[1])
    if metric is None:
        raise ExpectationError(f"{text!r}: there is no metric {form[1]!r}; {_hint(form[1])}")
    op: Op = form[2]  # type: ignore[assignment]  # the pattern has no other
    number = _NUMBER.fullmatch(form[3])
    if number is None:
        return Expectation(text.strip(), metric, op, _other(text, metric, form[3]))
    units = _UNITS[metric.kind]
    written = number[2] or ""
    if written not in units:
        found = f"{written!r} is no unit of it" if written else "its limit has no unit"
        raise ExpectationError(f"{text!r}: {form[1]} is a {metric.kind}, and {found}; there is {_units(units)}")
    limit = float(number[1]) * units[written]
    return Expectation(text.strip(), metric, op, limit, units[written] if written in _SHOWN_IN else 1.0)


def judge(expectation: Expectation, result: Mapping[str, Any]) -> Verdict:
    """Whether it holds for a result (schema 2, as JSON)."""
    left = expectation.metric.read(result)
    right = expectation.limit.read(result) if isinstance(expectation.limit, Metric) else Reading(expectation.limit)
    value = None if left.value is None else round(left.value / expectation.unit, 6)
    why = _unknown(expectation, left, right)
    holds = False
    if not why and left.value is not None and right.value is not None:
        holds = _OPS[expectation.op](left.value, right.value)
    return {"text": expectation.text, "value": value, "holds": holds, "why": why}


def judge_all(expectations: Iterable[Expectation], result: Mapping[str, Any]) -> list[Verdict]:
    """All of them, in their order."""
    return [judge(expectation, result) for expectation in expectations]


def print_verdicts(verdicts: Sequence[Verdict], console: Console) -> None:
    """A line each, ticked or crossed; nothing where nothing was expected."""
    if not verdicts:
        return
    tick, cross = ("✓", "✗") if console.encoding.lower().startswith("utf") else ("ok", "NO")
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("")
    table.add_column("expected")
    table.add_column("was", justify="right")
    table.add_column("")
    for verdict in verdicts:
        style, mark = ("green", tick) if verdict["holds"] else ("bold red", cross)
        value = "-" if verdict["value"] is None else f"{verdict['value']:,.6g}{_unit_of(verdict['text'])}"
        table.add_row(f"[{style}]{mark}[/]", escape(verdict["text"]), value, escape(verdict["why"]))
    failed = sum(not verdict["holds"] for verdict in verdicts)
    title = f"expectations: {failed} of {len(verdicts)} do not hold" if failed else "expectations: all hold"
    console.print(f"\n[bold]{title}[/]")
    console.print(table)


def _unit_of(text: str) -> str:
    """In which the value is told: as the limit was written, else in that of the result."""
    written = _UNIT_AT_END.search(text)
    return f" {written[1]}" if written else ""


def _other(text: str, metric: Metric, written: str) -> Metric:
    """The metric that stands in the place of a limit."""
    other = find_metric(written)
    if other is None:
        raise ExpectationError(
            f"{text!r}: {written!r} is neither a number with a unit ({_units(_UNITS[metric.kind])}) nor a metric; {_hint(written)}"
        )
    if other.kind != metric.kind:
        raise ExpectationError(f"{text!r}: {metric.name} is a {metric.kind}, {other.name} a {other.kind}")
    return other


def _unknown(expectation: Expectation, left: Reading, right: Reading) -> str:
    """What keeps it from being judged."""
    for reading, metric in ((left, expectation.metric), (right, expectation.limit)):
        if reading.value is None and isinstance(metric, Metric):
            return f"{metric.name} has no value: {metric.empty}"
    # "At least so many" on the left proves "more than", and on the right "less than", and nothing else.
    provable = {"<": right, "<=": right, ">": left, ">=": left}.get(expectation.op)
    for reading, metric in ((left, expectation.metric), (right, expectation.limit)):
        if reading.at_least and reading is not provable and isinstance(metric, Metric):
            return f"{metric.name} is only known to be at least {reading.value:,.0f}"
    return ""


def _hint(name: str) -> str:
    names = metric_names()
    close = difflib.get_close_matches(name, names, n=1)
    meant = f"perhaps {close[0]} is meant; " if close else ""
    return f"{meant}there are {', '.join(names)}"


def _units(units: Mapping[str, float]) -> str:
    return ", ".join(unit or "a bare number" for unit in units)
