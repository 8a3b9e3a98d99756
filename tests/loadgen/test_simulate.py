"""`zmcache-loadgen simulate`: the figures are those of the algorithms, and what is wrong is one line."""

from __future__ import annotations

import json
import lzma
import random
import struct
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from zmcache_loadgen.cli import main
from zmcache_loadgen.simulation import POLICIES, parse_size, sizes


def simulate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["simulate", *map(str, arguments)])


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = random.Random(5)
    tokens = [min(int(source.paretovariate(0.6)), 3_000) for _ in range(6_000)]
    path = tmp_path_factory.mktemp("traces") / "small.trace.xz"
    path.write_bytes(lzma.compress(struct.pack(f">{len(tokens)}I", *tokens)))
    return path


@pytest.fixture(scope="module")
def sized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The size of a value is that of its key: large keys are large, and rare."""
    source = random.Random(6)
    tokens = [min(int(source.paretovariate(0.6)), 3_000) for _ in range(6_000)]
    path = tmp_path_factory.mktemp("traces") / "sized.csv"
    path.write_text("key,bytes\n" + "".join(f"{token},{token}\n" for token in tokens))
    return path


def rows_of(path: Path) -> dict[tuple[str, int], dict[str, Any]]:
    return {(row["cache"], row["size"]): row for row in json.loads(path.read_text())["rows"]}


def test_every_policy_and_the_best_there_is_at_every_size(trace: Path, tmp_path: Path) -> None:
    kept, drawn = tmp_path / "s.json", tmp_path / "s.html"
    done = simulate(
        "--trace", trace, "--size", "20", "--size", "10%", "--alone", "--no-overhead", "--json", kept, "--plot", drawn
    )
    assert done.exit_code == 0, done.output
    rows = rows_of(kept)
    distinct = json.loads(kept.read_text())["distinct"]
    tenth = round(0.1 * distinct)
    assert set(rows) == {(cache, size) for cache in ("belady", *POLICIES) for size in (20, tenth)}
    for (cache, size), row in rows.items():
        assert 0 < row["hit_ratio"] <= rows["belady", size]["hit_ratio"] < 1
        assert row["byte_hit_ratio"] is None
        assert cache == "belady" or row["us_per_read"] > 0
        assert f"{100 * row['hit_ratio']:.2f}" in done.stdout
    page = drawn.read_text()
    assert page.count("<figure") == 1
    assert all(policy in page for policy in POLICIES)


def test_a_budget_in_bytes_is_charged_as_a_node_would(sized: Path, tmp_path: Path) -> None:
    kept = tmp_path / "s.json"
    columns = ("--csv-columns", "key=key,size=bytes")
    done = simulate(
        "--trace",
        sized,
        *columns,
        "--size",
        "64KiB",
        "--policy",
        "lru,s3-fifo",
        "--alone",
        "--no-overhead",
        "--json",
        kept,
    )
    assert done.exit_code == 0, done.output
    assert "byte hit ratio" in done.stdout
    rows = rows_of(kept)
    assert set(rows) == {("lru", 65536), ("s3-fifo", 65536)}
    for row in rows.values():
        assert 0 < row["byte_hit_ratio"] < row["hit_ratio"], "what is small is popular here"
    # with room for all, only the first read of each key is a miss
    done = simulate(
        "--trace",
        sized,
        *columns,
        "--bytes",
        "--size",
        "100%",
        "--policy",
        "lru",
        "--alone",
        "--no-overhead",
        "--json",
        kept,
    )
    assert done.exit_code == 0, done.output
    record = json.loads(kept.read_text())
    assert record["rows"][0]["hit_ratio"] == pytest.approx(1 - record["distinct"] / record["reads"])


@pytest.mark.slow
def test_what_an_entry_costs_is_measured_and_other_packages_stand_beside(trace: Path, tmp_path: Path) -> None:
    kept = tmp_path / "s.json"
    done = simulate("--trace", trace, "--size", "50", "--policy", "sieve", "--json", kept)
    assert done.exit_code == 0, done.output
    record = json.loads(kept.read_text())
    caches = {row["cache"] for row in record["rows"]}
    for package in ("cachetools", "cachebox", "theine"):
        assert any(cache.startswith(package) for cache in caches) != (
            package in done.stdout.partition("Not installed")[2]
        )
    assert 60 < record["overhead_bytes"]["sieve"] < 200
    rows = rows_of(kept)
    if ("cachetools lru", 50) in rows:
        simulate("--trace", trace, "--size", "50", "--policy", "lru", "--alone", "--no-overhead", "--json", kept)
        assert rows["cachetools lru", 50]["hit_ratio"] == rows_of(kept)["lru", 50]["hit_ratio"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--size", "lots"], "'lots' is no size of a cache"),
        (["--size", "0"], "'0' is no size of a cache"),
        (["--size", "150%"], "'150%' is no size of a cache"),
        (["--size", "10", "--size", "1MiB"], "give one kind"),
        (["--policy", "lru,lifo"], "there is no policy 'lifo'; there are lru, lfu"),
        (["--format", "csv"], "a CSV trace needs the names of its columns"),
    ],
)
def test_a_wrong_option_is_one_line(trace: Path, arguments: list[str], line: str) -> None:
    done = simulate("--trace", trace, *arguments)
    assert done.exit_code == 2
    assert line in " ".join(done.stderr.split())


def test_a_file_that_cannot_be_read_or_kept_is_one_line(trace: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.trace.xz"
    damaged.write_bytes(trace.read_bytes()[:-40])
    done = simulate("--trace", damaged, "--size", "5")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "Error:" in done.stderr
    done = simulate("--trace", trace, "--size", "5", "--json", tmp_path / "none" / "s.json")
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize(
    ("text", "kind", "amount"),
    [
        ("1500", "items", 1500),
        ("1,500", "items", 1500),
        ("64MiB", "bytes", 2**26),
        ("1.5 kb", "bytes", 1500),
        ("0.1%", "share", 0.001),
    ],
)
def test_sizes_are_written_as_people_write_them(text: str, kind: str, amount: float) -> None:
    assert parse_size(text)[:2] == (kind, pytest.approx(amount))


@pytest.mark.parametrize("text", ["", "-5", "1.5", "0%", "101%", "5XB", "nan", "0b"])
def test_what_is_no_size_says_what_one_is(text: str) -> None:
    with pytest.raises(sizes.WrongSize, match="such as 64MiB"):
        parse_size(text)


def test_a_trace_in_which_nothing_is_read_is_refused_by_name(tmp_path: Path) -> None:
    empty = tmp_path / "empty.int32"
    empty.write_bytes(b"")
    done = simulate("--trace", empty, "--alone", "--no-overhead")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr == f"Error: {empty}: there is no read in it\n"
