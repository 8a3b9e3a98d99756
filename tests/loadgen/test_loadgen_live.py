"""The live screen: what it shows, in any width and any alphabet, and that it keeps quiet in a pipe."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from zmcache_loadgen.live import Screen, live_screen, sparkline

EVENTS = [
    {"at_s": 1.2, "what": "kill n2", "ok": True, "detail": "was ended by SIGKILL"},
    {"at_s": 2.0, "what": "resume n1", "ok": False, "detail": "n1 is not paused"},
]


def row(second: int, **changes: Any) -> dict[str, Any]:
    plain = {"requests": 1000, "reads": 900, "hits": 450, "errors": 0, "skipped": 0, "loads": 450}
    latencies = {"p50_us": 310.4, "p99_us": 1234.6, "max_us": 5000.0}
    return {"second": second, **plain, **latencies, **changes}


def drawn(screen: Screen, *, width: int = 120, encoding: str = "utf-8") -> list[str]:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=stream, width=width, force_terminal=False).print(screen)
    stream.flush()
    return [line.rstrip() for line in raw.getvalue().decode(encoding).splitlines()]


def line_of(lines: list[str], name: str) -> list[str]:
    return next(line.split() for line in lines if line.startswith(name))


def test_it_shows_this_second_and_the_whole_run() -> None:
    rows = [row(0), row(1, requests=3000, reads=2700, hits=2700, errors=7, skipped=20, p50_us=99.0)]
    lines = drawn(Screen("closed loop, 32 callers", rows, planned_s=10))
    assert lines[0] == "closed loop, 32 callers"
    assert lines[1].startswith("2 of 10 s")
    assert line_of(lines, "rate") == ["rate", "3,000/s", "2,000/s", "▃█"]
    assert line_of(lines, "p99") == ["p99", "1,235", "us", "██"]
    assert line_of(lines, "p50") == ["p50", "99", "us"]
    assert line_of(lines, "hits") == ["hits", "100.0%", "87.5%"]
    assert line_of(lines, "errors") == ["errors", "7", "7"]
    assert line_of(lines, "skipped") == ["skipped", "20", "20"]


def test_it_shows_only_the_last_minute_of_a_long_run_and_counts_all_of_it() -> None:
    rows = [row(0, requests=1_000_000), *(row(second) for second in range(1, 100))]
    lines = drawn(Screen("", rows))
    assert "the last 60 s" in "".join(lines)
    assert line_of(lines, "rate") == ["rate", "1,000/s", "10,990/s", "█" * 60]
    assert "100 s" in lines[1]


def test_events_are_told_with_how_they_went_and_marked_under_their_second() -> None:
    lines = drawn(Screen("", [row(second) for second in range(4)], EVENTS))
    assert "    1.2 s  ✓ kill n2: was ended by SIGKILL" in lines
    assert "    2.0 s  ✗ resume n1: n1 is not paused" in lines
    rate = next(line for line in lines if line.startswith("rate"))
    marks = next(line for line in lines if line.startswith("p50"))
    first = rate.index("█")
    assert [at - first for at, sign in enumerate(marks) if sign == "^"] == [1, 2]


def test_only_the_last_events_are_told() -> None:
    events = [{"at_s": float(at), "what": f"pause n{at}", "ok": True, "detail": ""} for at in range(9)]
    told = [line for line in drawn(Screen("", [row(0)], events)) if "pause" in line]
    assert [line.split()[-1] for line in told] == ["n4", "n5", "n6", "n7", "n8"]


def test_before_the_first_second_there_is_a_screen_without_figures() -> None:
    lines = drawn(Screen("open loop", [], planned_s=10))
    assert line_of(lines, "rate") == ["rate", "0/s", "-"]
    assert line_of(lines, "hits") == ["hits", "-", "-"]


def test_a_second_in_which_nothing_was_answered_leaves_a_gap() -> None:
    still = row(1, requests=0, reads=0, hits=0, p50_us=None, p99_us=None, max_us=None)
    lines = drawn(Screen("", [row(0), still, row(2)]))
    assert line_of(lines, "rate")[-1] == "█▁█"
    assert next(line for line in lines if line.startswith("p99")).endswith("█ █")


@pytest.mark.parametrize("width", [60, 80, 200])
def test_no_line_is_wider_than_the_terminal_or_wrapped(width: int) -> None:
    rows = [row(second, requests=12_345_678, p99_us=98_765_432.0) for second in range(100)]
    narrow = drawn(Screen("a long title " * 30, rows, EVENTS, planned_s=3600), width=width)
    assert max(map(len, narrow)) <= width
    assert len(narrow) == len(drawn(Screen("", rows, EVENTS, planned_s=3600), width=400))
    assert "12,345,678/s" in "".join(narrow)


def test_a_terminal_without_the_signs_gets_others() -> None:
    lines = drawn(Screen("", [row(0), row(1, requests=10)], EVENTS, planned_s=10), encoding="ascii")
    assert line_of(lines, "rate")[-1] == "#_"
    assert any("NO resume n1" in line for line in lines)


def test_a_sparkline_reaches_from_nothing_to_the_largest() -> None:
    assert sparkline([0, 50, 100, None]) == "▁▅█ "
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([None]) == " "
    assert sparkline([]) == ""


def test_it_is_drawn_when_told_and_gone_afterwards() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=100, color_system=None)
    with live_screen(shown=True, console=console) as draw:
        assert draw is not None
        assert "rate" not in stream.getvalue()
        draw(Screen("first", [row(0)]))
        draw(Screen("second", [row(0), row(1)]))
        assert stream.getvalue().count("rate") == 2
    ending = stream.getvalue().rpartition("second")[2]
    assert "\x1b[2K" in ending  # its lines are erased


def test_there_is_none_in_a_pipe_or_where_none_is_wanted() -> None:
    stream = io.StringIO()
    with live_screen(shown=True, console=Console(file=stream)) as draw:
        assert draw is None
    with live_screen(shown=False, console=Console(file=stream, force_terminal=True)) as draw:
        assert draw is None
    assert stream.getvalue() == ""
