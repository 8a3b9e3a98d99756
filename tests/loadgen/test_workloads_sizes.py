"""Sizes and lives are what the text says, and a text that says nothing is one clear line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from statistics import median, stdev

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmcache_loadgen.workloads import (
    ConstantSize,
    Expiry,
    LognormalSize,
    MixedSize,
    Sizes,
    UniformSize,
    parse_expiry,
    parse_sizes,
)


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("128", ConstantSize(128)),
        (" 0 ", ConstantSize(0)),
        ("4KiB", ConstantSize(4096)),
        ("64-4096", UniformSize(64, 4096)),
        ("1KiB-1 MiB", UniformSize(1024, 1024 * 1024)),
        ("lognormal:median=400,sigma=1.2", LognormalSize(400, 1.2)),
        ("lognormal:sigma=2,median=1KiB,min=16,max=64KiB", LognormalSize(1024, 2.0, 16, 65536)),
        ("64:90%,4096:10%", MixedSize(((64, 90.0), (4096, 10.0)))),
        ("1KiB:99.5%,1MiB:0.5%", MixedSize(((1024, 99.5), (1024 * 1024, 0.5)))),
        ("64:99.99999%,8:0.00001%", MixedSize(((64, 99.99999), (8, 0.00001)))),
        ("lognormal:median=400,sigma=0.00001", LognormalSize(400, 0.00001)),
    ],
)
def test_a_text_names_its_distribution(text: str, sizes: Sizes) -> None:
    assert parse_sizes(text) == sizes
    assert parse_sizes(str(sizes)) == sizes


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "-5", "12x", "1.5", "64-", "64-128-256", "64:90%,", "64:90", "lognormal", "lognormal:", "lognormal:400,1.2",
        "lognormal:median=400", "lognormal:median=400,median=5,sigma=1", "lognormal:median=400,sigma=1,mean=5", "normal:median=4",
        "1" * 30, "4KB", "²",
    ],
)  # fmt: skip
def test_a_size_that_does_not_parse_says_how_sizes_are_written(text: str) -> None:
    with pytest.raises(ValueError, match="is no size of values: sizes are written 128, 64-4096, lognormal") as raised:
        parse_sizes(text)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("128-64", "the smallest first"),
        ("1000MiB", "from 0 to 67108864 bytes"),
        ("64:90%,4096:20%", "make 100 together"),
        ("64:0%,4096:100%", "its percentage is above 0"),
        ("lognormal:median=400,sigma=0", "sigma: above 0"),
        ("lognormal:median=400,sigma=1,max=300", "the median lies between min and max"),
        ("lognormal:median=400,sigma=1,min=0", "min is at least 1"),
    ],
)
def test_a_size_that_cannot_be_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"is no size of values: .*{reason}"):
        parse_sizes(text)


@contextmanager
def suppress_only(message: str) -> Iterator[None]:
    """A ValueError may come, but only one that says ``message``."""
    try:
        yield
    except ValueError as exc:
        if message not in str(exc):
            raise


@given(text=st.one_of(st.text(max_size=30), st.from_regex(r"[0-9.:%,KiB-]{1,20}", fullmatch=True)))
def test_any_text_is_a_size_or_one_clear_error(text: str) -> None:
    sizes = None
    with suppress_only("is no size of values"):
        sizes = parse_sizes(text)
    assert sizes is None or parse_sizes(str(sizes)) == sizes


@given(
    sizes=st.one_of(
        st.builds(ConstantSize, st.integers(0, 10_000)),
        st.builds(lambda low, more: UniformSize(low, low + more), st.integers(0, 1000), st.integers(0, 1000)),
        st.builds(
            lambda low, to, more, sigma: LognormalSize(low + to, sigma, low, low + to + more),
            st.integers(1, 100), st.integers(0, 1000), st.integers(0, 100_000), st.floats(0.1, 10),
        ),
    ),
    seed=st.integers(),
)  # fmt: skip
def test_draws_stay_inside_their_bounds_and_the_seed_decides_them(sizes: Sizes, seed: int) -> None:
    first = sizes.drawer(Random(seed))(100)
    assert first == sizes.drawer(Random(seed))(100)
    lowest, highest = {
        ConstantSize: lambda each: (each.size, each.size),
        UniformSize: lambda each: (each.smallest, each.largest),
        LognormalSize: lambda each: (each.smallest, each.largest),
    }[type(sizes)](sizes)
    assert lowest <= min(first) <= max(first) <= highest


def test_uniform_sizes_reach_both_ends() -> None:
    assert set(UniformSize(5, 8).drawer(Random(1))(500)) == {5, 6, 7, 8}


def test_lognormal_sizes_have_the_median_and_the_deviation_that_were_asked_for() -> None:
    sizes = parse_sizes("lognormal:median=4000,sigma=1.2,max=64MiB").drawer(Random(1))(50_000)
    assert median(sizes) == pytest.approx(4000, rel=0.03)
    assert stdev(map(math.log, sizes)) == pytest.approx(1.2, rel=0.02)


def test_a_mix_has_its_shares() -> None:
    counts = Counter(parse_sizes("64:90%,4096:10%").drawer(Random(1))(50_000))
    assert set(counts) == {64, 4096}
    assert counts[4096] == pytest.approx(5000, rel=0.06)


@pytest.mark.parametrize(
    ("text", "expiry"),
    [
        ("30s", Expiry(30, 30)),
        ("500ms", Expiry(0.5, 0.5)),
        ("10s-60s", Expiry(10, 60)),
        ("10-60", Expiry(10, 60)),
        ("1m-1h", Expiry(60, 3600)),
        ("1.5s-2min", Expiry(1.5, 120)),
    ],
)
def test_an_expiry_is_a_life_or_a_range_of_them(text: str, expiry: Expiry) -> None:
    assert parse_expiry(text) == expiry
    assert parse_expiry(str(expiry)) == expiry
    lives = expiry.drawer(Random(1))(500)
    assert expiry.shortest_s <= min(lives) <= max(lives) <= expiry.longest_s


@pytest.mark.parametrize("text", ["", "x", "-5s", "0s", "10s-", "60s-10s", "10d", "0-5s", "1s-2s-3s"])
def test_an_expiry_that_does_not_parse_is_one_clear_line(text: str) -> None:
    with pytest.raises(ValueError, match="is no expiry: ") as raised:
        parse_expiry(text)
    assert "\n" not in str(raised.value)
