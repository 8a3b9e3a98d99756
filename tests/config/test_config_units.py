"""Sizes and durations: what people write, what is refused, and that what is formatted can be read again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmcache.config import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("64MiB", 64 * 2**20), ("1KiB", 1024), (1048576, 2**20), ("1.5 GiB", 3 * 2**29), ("10MB", 10**7), ("7", 7),
        (" 2 kib ", 2048), ("12B", 12), (1024.0, 1024), (0, 0),
    ],
)  # fmt: skip
def test_sizes_are_read_as_people_write_them(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["64M", "1K", "-1", "lots", "", "1.5.5MB", True, None, [1], 1.5, math.nan, math.inf, -3, "1e9", 2**70]
)
def test_what_is_no_size_is_refused_and_named(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected a size such as 64MiB or .*, found "):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5s", 1.5), ("150us", 0.00015), ("150µs", 0.00015), ("2h30m", 9000.0), (0.25, 0.25), (3, 3.0), ("10", 10.0), ("500ms", 0.5),
        ("1d", 86400.0), ("1m 30s", 90.0), ("0us", 0.0), ("1s5ms", 1.005), (" 2 h ", 7200.0),
    ],
)  # fmt: skip
def test_durations_are_read_as_people_write_them(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["30m2h", "s", "", " ", "1x", "-1s", "inf", math.nan, math.inf, -1, True, None, {}, "5 5", "1e999", 1e300]
)
def test_what_is_no_duration_is_refused_and_named(text: object) -> None:
    with pytest.raises(ValueError, match=r"expected a duration such as 1\.5s, .*, found "):
        parse_duration(text)


def test_a_long_wrong_text_is_shortened_to_one_line() -> None:
    with pytest.raises(ValueError, match="found") as caught:
        parse_size("9\n" * 500)
    assert len(str(caught.value)) < 150
    assert "\n" not in str(caught.value)


@given(st.integers(0, 2**50))
def test_a_formatted_size_reads_back_to_within_its_two_decimals(size: int) -> None:
    # half of the second decimal, and the fraction of a byte that is cut off: 1111 is written 1.08KiB, which is 1105
    assert parse_size(format_size(size)) == pytest.approx(size, rel=0.006)


@given(st.floats(1e-6, 1e7))
def test_a_formatted_duration_reads_back(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.01)


def test_common_values_are_formatted_as_people_write_them() -> None:
    assert [format_size(n) for n in (0, 1023, 1024, 64 * 2**20, 1536 * 2**20)] == [
        "0B",
        "1023B",
        "1KiB",
        "64MiB",
        "1.50GiB",
    ]
    assert [format_duration(s) for s in (0, 0.00015, 0.5, 1.5, 30, 9000, 90061)] == [
        "0s", "150us", "500ms", "1.5s", "30s", "2h30m", "1d1h1m1s",
    ]  # fmt: skip
