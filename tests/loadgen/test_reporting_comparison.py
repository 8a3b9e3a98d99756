"""A comparison tells how much results differ, and only calls it a difference beyond what runs differ among themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from result_samples import kept, measured, slower
from zmcache_loadgen.cli import main


def invoke(*paths: Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, paths)])


def valid(result: dict[str, Any]) -> dict[str, Any]:
    return result | {"valid": True, "bottlenecks": []}


def row(done: Result, name: str) -> str:
    found = re.search(rf"^{re.escape(name)} {{2,}}(.*?) *$", done.stdout, re.MULTILINE)
    assert found, f"no {name!r} in\n{done.output}"
    return found[1]


def runs(folder: Path, name: str, *factors: float) -> Path:
    base = valid(measured())
    base["latency_us"]["all"]["p99"] = 1000.0
    return kept(folder, name, *(slower(base, factor) for factor in factors))


def test_one_run_each_tells_the_difference_and_that_its_spread_is_not_known(tmp_path: Path) -> None:
    done = invoke(runs(tmp_path, "before", 1.0), runs(tmp_path, "after", 2.0))
    assert (done.exit_code, done.stderr) == (0, "")
    p99 = row(done, "p99")
    assert re.fullmatch(r"1 ms +2 ms +\+100\.0 % +worse; one run each, the spread is not known", p99)
    assert "-50.0 %   worse" in row(done, "requests a second")
    assert row(done, "errors").endswith("the same")


def test_a_difference_smaller_than_the_spread_of_the_runs_is_none(tmp_path: Path) -> None:
    done = invoke(runs(tmp_path, "before", 1.0, 1.3, 0.9), runs(tmp_path, "after", 1.2, 1.4, 1.25))
    p99 = row(done, "p99")
    assert "1 ms (900 µs to 1.3 ms)" in p99
    assert "+25.0 %" in p99  # medians: 1.0 and 1.25
    assert p99.endswith("within the spread")


def test_a_difference_beyond_the_spread_is_called_better_or_worse(tmp_path: Path) -> None:
    slow, quick = runs(tmp_path, "slow", 2.0, 2.2, 2.1), runs(tmp_path, "quick", 1.0, 1.1, 1.2)
    assert row(invoke(slow, quick), "p99").endswith("better, beyond the spread")
    assert row(invoke(quick, slow), "p99").endswith("worse, beyond the spread")
    assert row(invoke(quick, slow), "requests a second").endswith("worse, beyond the spread")


def test_one_run_beside_several_claims_no_spread(tmp_path: Path) -> None:
    one, several = runs(tmp_path, "one", 1.0), runs(tmp_path, "several", 2.0, 2.2)
    assert row(invoke(one, several), "p99").endswith("worse; one run only, its spread is not known")


def test_several_files_are_each_compared_with_the_first(tmp_path: Path) -> None:
    done = invoke(runs(tmp_path, "a", 1.0), runs(tmp_path, "b", 2.0), runs(tmp_path, "c", 4.0))
    assert re.findall(r"^p99  .*?([+-][\d.]+) %", done.stdout, re.MULTILINE) == ["+100.0", "+300.0"]


def test_a_figure_that_only_one_has_is_not_compared(tmp_path: Path) -> None:
    reading = kept(tmp_path, "reading", valid(measured("noop")))
    done = invoke(reading, kept(tmp_path, "opened", valid(measured("noop", rate=2000.0))))
    assert row(done, "service time p99").endswith("not in both")
    assert "p50 of hits" not in done.stdout  # neither has any


def test_from_nothing_to_something_is_no_percentage(tmp_path: Path) -> None:
    failing = valid(measured())
    failing["errors"] = {"total": 3, "by_class": {"TimeoutError": {"count": 3, "first": ""}}}
    done = invoke(kept(tmp_path, "good", valid(measured())), kept(tmp_path, "failing", failing))
    assert re.fullmatch(r"0 +3 +- +worse; .*", row(done, "errors"))


def test_loops_and_workloads_that_are_not_alike_are_warned_of_and_so_is_a_run_that_does_not_count(
    tmp_path: Path,
) -> None:
    other = measured(rate=2000.0) | {"valid": False, "bottlenecks": ["it was late"], "partial": "interrupted"}
    other["workload"] = other["workload"] | {"kind": "uniform"}
    done = invoke(kept(tmp_path, "a", valid(measured())), kept(tmp_path, "b", other))
    warnings = done.stderr.splitlines()
    assert [line.split(":")[1].strip() for line in warnings] == [
        "the loops differ",
        "the workloads differ",
        "b is partial",
        "b is not valid",
    ]
    assert warnings[0].endswith("a: closed loop, 4 callers; b: open loop, 2,000 requests/s, poisson arrivals")


def test_different_targets_are_what_a_comparison_is_for_and_are_named(tmp_path: Path) -> None:
    done = invoke(kept(tmp_path, "a", valid(measured("dict"))), kept(tmp_path, "b", valid(measured("noop"))))
    assert done.stderr == ""
    assert "a: Closed loop, 4 callers, on dict: zipf" in done.stdout
    assert "b: Closed loop, 4 callers, on noop: zipf" in done.stdout


def test_one_file_alone_is_refused(tmp_path: Path) -> None:
    done = invoke(runs(tmp_path, "a", 1.0))
    assert done.exit_code == 2
    assert "two results are needed" in done.stderr
