"""Numbers as people read them, and the scales that they stand on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmcache_loadgen.reporting.numbers import axis_texts, significant, told, whole
from zmcache_loadgen.reporting.scales import Kind, scale


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (None, "us", "-"),
        (0, "us", "0 µs"),
        (0.4, "us", "0.4 µs"),
        (812.44, "us", "812 µs"),
        (1234, "us", "1.23 ms"),
        (3_400_000, "us", "3.4 s"),
        (12, "s", "12 s"),
        (0.931, "share", "93.1 %"),
        (0, "share", "0 %"),
        (1, "share", "100 %"),
        (512, "bytes", "512 B"),
        (16 * 1024, "bytes", "16 KiB"),
        (1.5 * 2**20, "bytes", "1.5 MiB"),
        (1, "tail", "0 %"),
        (2, "tail", "50 %"),
        (10, "tail", "90 %"),
        (1000, "tail", "99.9 %"),
        (2000, "tail", "99.95 %"),
        (1e6, "tail", "99.9999 %"),
        (1234567, "", "1,234,567"),
        (23_456_789, "", "23.5 M"),
        (-0.0123, "", "-0.0123"),
        (1500, "a second", "1,500 a second"),
    ],
)
def test_a_number_is_told_in_the_size_that_suits_it(value: float | None, unit: str, text: str) -> None:
    assert told(value, unit) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.9996, "99.96 %"), (0.99996, "99.996 %"), (0.999999, "99.9999 %"), (0.00001, "0.001 %"), (0.99, "99 %")],
)
def test_a_share_that_is_not_all_is_not_told_as_all_nor_a_small_one_as_nothing(share: float, text: str) -> None:
    assert told(share, "share") == text


def test_counts_keep_all_their_digits() -> None:
    assert whole(12_345_678) == "12,345,678"
    assert whole(None) == "-"
    assert significant(12_345) == "12,345"


def test_times_beside_a_linear_axis_are_told_in_one_size() -> None:
    assert axis_texts([0, 500, 1000, 1500], "us", log=False) == ["0", "0.5 ms", "1 ms", "1.5 ms"]
    assert axis_texts([1, 1000, 1_000_000], "us", log=True) == ["1 µs", "1 ms", "1 s"]


def test_an_axis_whose_name_tells_the_unit_has_bare_numbers() -> None:
    assert axis_texts([0, 2000], "a second", log=False) == ["0", "2,000"]


def test_a_linear_scale_begins_at_zero_and_ends_on_a_round_number() -> None:
    found = scale("linear", [3.0, 87.0])
    assert (found.low, found.high) == (0.0, 100.0)
    assert found.ticks == (0.0, 20.0, 40.0, 60.0, 80.0, 100.0)
    assert (found.at(0), found.at(50), found.at(100)) == (0.0, 0.5, 1.0)


def test_a_fitted_scale_ends_where_the_values_do() -> None:
    found = scale("linear", [0.5, 9.5], low=0.0, high=10.2, fit=True)
    assert (found.low, found.high) == (0.0, 10.2)
    assert found.ticks[-1] <= 10.2


def test_a_log_scale_gives_each_power_of_ten_the_same_room() -> None:
    found = scale("log", [1.0, 10_000.0])
    assert found.ticks == (1.0, 10.0, 100.0, 1000.0, 10_000.0)
    assert [found.at(tick) for tick in found.ticks] == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_a_log_scale_over_little_has_more_than_powers_of_ten_written_beside_it() -> None:
    assert scale("log", [120.0, 700.0]).ticks == (100.0, 200.0, 500.0, 1000.0)


def test_sizes_stand_at_powers_of_two() -> None:
    found = scale("log", [3 * 2**20, 900 * 2**20], binary=True)
    assert axis_texts(found.ticks, "bytes", log=True) == ["2 MiB", "8 MiB", "32 MiB", "128 MiB", "512 MiB"]
    fitted = scale("log", [64.0, 4096.0], fit=True, binary=True)
    assert axis_texts(fitted.ticks, "bytes", log=True) == ["64 B", "128 B", "256 B", "512 B", "1 KiB", "2 KiB", "4 KiB"]
    assert len(scale("log", [], binary=True).ticks) >= 2


def test_zero_on_a_log_scale_stands_at_its_low_end() -> None:
    assert scale("log", [0.0, 5.0, 500.0]).at(0.0) == 0.0


@given(
    kind=st.sampled_from(["linear", "log"]),
    values=st.lists(st.floats(0, 1e12, allow_subnormal=False).map(lambda value: round(value, 3)), max_size=8),
    fit=st.booleans(),
    binary=st.booleans(),
)
def test_every_value_stands_within_the_scale_and_every_tick_too(
    kind: Kind, values: list[float], fit: bool, binary: bool
) -> None:
    found = scale(kind, values, fit=fit, binary=binary)
    assert found.low < found.high
    for value in values:
        assert 0.0 <= found.at(value) <= 1.0
    invisible = (found.high - found.low) * 1e-6
    for tick in found.ticks:
        assert found.low - invisible <= tick <= found.high + invisible
    assert len(found.ticks) <= 20
    if not fit:
        assert len(found.ticks) >= 2
        assert all(found.low <= value <= found.high * (1 + 1e-9) for value in values if value > 0 or kind == "linear")
