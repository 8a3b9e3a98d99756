"""Expectations: what parses, what holds, and what is said where something cannot be known."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from hdrh.histogram import HdrHistogram
from rich.console import Console
from zmcache_loadgen.expect import ExpectationError, judge, judge_all, parse, print_verdicts

NOTHING = {"count": 0, "mean": None, "p50": None, "p90": None, "p99": None, "p99.9": None, "max": None}
HITS = {"count": 90, "mean": 310.0, "p50": 250.0, "p90": 600.0, "p99": 800.0, "p99.9": 1900.0, "max": 2100.0}


def histogram() -> str:
    """1 to 100 us, one of each."""
    filled = HdrHistogram(1, 3_600_000_000_000, 3)
    for microseconds in range(1, 101):
        filled.record_value(microseconds * 1000)
    encoded: str = filled.encode().decode()
    return encoded


RESULT: dict[str, Any] = {
    "requests": 1000, "reads": 900, "requests_per_s": 51_200.0, "skipped": 0, "hit_ratio": 0.93,
    "errors": {"total": 2, "by_class": {}},
    "latency_us": {"all": HITS, "hits": HITS, "misses": NOTHING, "writes": NOTHING},
    "service_us": None,
    "histograms": {"all": histogram(), "hits": histogram()},
    "verify": None,
    "generator": {"cpu_share": 0.7, "lag_ms": {"p50": 0.1, "p99": 4.0, "max": 9.0}, "pacing_ms": None, "achieved_rate": 51_300.0},
    "loads": {"loaded": 70, "loaded_exact": True, "distinct_keys": 80, "distinct_exact": True},
    "nodes": {"n1": {"requests": 1000, "loads": 70, "state": "stayed"}},
}  # fmt: skip


def result(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(RESULT) | changes


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("p99<5ms", 0.8),
        ("p99<=800us", 800.0),
        ("max<1s", 0.0021),
        ("all.p50 == 250us", 250.0),
        ("hits.p99.9<=2ms", 1.9),
        ("p95<=96us", 95.039),
        ("hit_ratio>0.9", 0.93),
        ("hit_ratio>90%", 93.0),
        ("errors!=0", 2),
        ("error_ratio<0.3%", 0.2),
        ("rate>=50k", 51_200.0),
        ("rate<1M/s", 51_200.0),
        ("achieved_rate>51.2k", 51_300.0),
        ("requests>=1k", 1000),
        ("skipped==0", 0),
        ("skipped_ratio==0", 0.0),
        ("lag.p99<5ms", 4.0),
        ("cpu_share<95%", 70.0),
        ("loads<=distinct_keys", 70),
        ("hits.p50<=p50", 250.0),
    ],
)
def test_an_expectation_that_is_met_holds_and_tells_the_value_in_the_unit_it_was_written_in(
    text: str, value: float
) -> None:
    verdict = judge(parse(text), RESULT)
    assert verdict["holds"]
    assert verdict["value"] == pytest.approx(value)
    assert verdict["text"] == text
    assert verdict["why"] == ""


@pytest.mark.parametrize(
    "text", ["p99<0.8ms", "hit_ratio>0.93", "errors==0", "rate>=51.3k", "loads>distinct_keys", "error_ratio<0.1%"]
)
def test_an_expectation_that_is_not_met_does_not_hold(text: str) -> None:
    verdict = judge(parse(text), RESULT)
    assert not verdict["holds"]
    assert verdict["why"] == ""


@pytest.mark.parametrize(
    ("text", "changes", "why"),
    [
        ("hit_ratio>=0", {"hit_ratio": None}, "nothing was read"),
        ("misses.p99<1s", {}, "there were no misses"),
        ("writes.p95<1s", {}, "there were no writes"),
        ("service.p99<1ms", {}, "the loop was closed"),
        ("pacing.p99<1ms", {}, "only an open loop has a pace"),
        ("wrong==0", {}, "--verify"),
        ("loads<=distinct_keys", {"nodes": {}}, "no nodes that count"),
        ("error_ratio<1%", {"requests": 0}, "no request came to an end"),
        ("p50<=service.p50", {}, "service.p50 has no value"),
    ],
)
def test_a_metric_without_a_value_does_not_hold_and_says_why(text: str, changes: dict[str, Any], why: str) -> None:
    verdict = judge(parse(text), result(**changes))
    assert not verdict["holds"]
    assert why in verdict["why"]


@pytest.mark.parametrize(
    ("text", "loaded_exact", "distinct_exact", "holds"),
    [
        ("loads<=distinct_keys", False, True, False),
        ("loads<=distinct_keys", True, False, True),
        ("loads>=70", False, True, True),
        ("loads==70", False, True, False),
        ("loads!=70", False, True, False),
        ("distinct_keys>loads", False, True, False),
        ("distinct_keys>loads", True, False, True),
    ],
)
def test_at_least_so_many_proves_more_than_and_never_fewer_than(
    text: str, loaded_exact: bool, distinct_exact: bool, holds: bool
) -> None:
    loads = {"loaded": 70, "loaded_exact": loaded_exact, "distinct_keys": 80, "distinct_exact": distinct_exact}
    verdict = judge(parse(text), result(loads=loads))
    assert verdict["holds"] is holds
    assert holds or "only known to be at least" in verdict["why"]


def test_an_open_loop_tells_service_time_and_a_verified_run_what_was_wrong() -> None:
    seen = result(
        service_us={"all": HITS, "hits": HITS, "misses": NOTHING, "writes": NOTHING},
        verify={"checked": 10, "wrong": 1, "stale": 0, "torn": 0, "first": ["k"]},
    )
    verdicts = judge_all([parse(text) for text in ("service.hits.p99<1ms", "stale==0", "wrong==0")], seen)
    assert [verdict["holds"] for verdict in verdicts] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no expectation"),
        ("p99", "is no expectation"),
        ("p99=5ms", "is no expectation: a metric, one of <= >= == != < >"),
        ("p99<", "is no expectation"),
        ("<5ms", "is no expectation"),
        ("p99<5", "its limit has no unit; there is us, µs, ms, s"),
        ("p99<5k", "'k' is no unit of it"),
        ("p99<-5ms", "neither a number"),
        ("p99<inf", "neither a number"),
        ("p99<5ms and more", "'ms and more' is no unit"),
        ("hit_ratio>90ms", "is a ratio, and 'ms' is no unit of it; there is a bare number, %"),
        ("hitratio>0.9", "perhaps hit_ratio is meant; there are mean, p50"),
        ("zebra<1", "there is no metric 'zebra'; there are mean, p50"),
        ("p100<1s", "there is no metric 'p100'"),
        ("service.p95<1ms", "there is no metric 'service.p95'; perhaps service.p99 is meant"),
        ("loads<=distinct", "perhaps distinct_keys is meant"),
        ("loads<=p99", "loads is a count, p99 a time"),
    ],
)
def test_what_does_not_parse_is_told_in_one_line_with_what_there_is(text: str, said: str) -> None:
    with pytest.raises(ExpectationError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def printed(*texts: str, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    print_verdicts(judge_all([parse(text) for text in texts], RESULT), Console(file=stream, width=120))
    stream.flush()
    return raw.getvalue().decode(encoding)


def test_the_table_ticks_and_crosses_and_counts_what_does_not_hold() -> None:
    shown = printed("p99<5ms", "errors==0", "wrong==0")
    assert "2 of 3 do not hold" in shown
    lines = {line.split()[1]: line for line in shown.splitlines() if line.startswith(("✓", "✗"))}
    assert lines["p99<5ms"].split() == ["✓", "p99<5ms", "0.8", "ms"]
    assert lines["errors==0"].split() == ["✗", "errors==0", "2"]
    assert "nothing was verified" in lines["wrong==0"]
    assert "all hold" in printed("p99<5ms")
    assert printed() == ""


def test_a_terminal_without_the_signs_gets_words() -> None:
    shown = printed("p99<5ms", "errors==0", encoding="ascii")
    assert "ok" in shown
    assert "NO" in shown
