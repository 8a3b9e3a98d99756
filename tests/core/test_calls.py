"""Durations as callers give them: numbers, text and timedeltas mean the same, and what is none says so in one line."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmcache.core.calls import UNSET, check_timeout, seconds_of, ttl_to_ms
from zmcache.core.units import format_duration
from zmcache.core.wire import FOREVER, TTL_DEFAULT
from zmcache.errors import InvalidTtl, RequestError

HUNDRED_YEARS_S = 100 * 365 * 86400
NO_DURATIONS: list[Any] = [
    0, 0.0, -1, -0.5, math.nan, math.inf, -math.inf, pytest.param(10**5000, id="of 5001 digits"), -(10**30), 1e300, HUNDRED_YEARS_S * 1.001,
    "", "0", "0s", "-1s", "soon", "inf", "nan", "1e3", "36501d", pytest.param("x" * 10_000, id="long"), "1\n2", True, False, [], b"1s", object(),
    timedelta(0), timedelta(seconds=-1), timedelta.max,
]  # fmt: skip


@pytest.mark.parametrize(
    ("ttl", "ms"),
    [
        (60, 60_000), (0.25, 250), ("60", 60_000), ("1h30m", 5_400_000), ("90s", 90_000), ("1.5s", 1500), (timedelta(hours=1), 3_600_000),
        (HUNDRED_YEARS_S, HUNDRED_YEARS_S * 1000), ("36500d", HUNDRED_YEARS_S * 1000), (None, FOREVER), (UNSET, TTL_DEFAULT),
    ],
)  # fmt: skip
def test_an_expiry_is_seconds_text_a_timedelta_none_or_left_out(ttl: Any, ms: int) -> None:
    assert ttl_to_ms(ttl) == ms


def test_an_expiry_shorter_than_a_millisecond_is_rounded_up_and_not_to_zero() -> None:
    assert ttl_to_ms("10us") == ttl_to_ms(1e-9) == 1


@pytest.mark.parametrize("ttl", NO_DURATIONS)
def test_what_is_no_expiry_is_refused_in_one_short_line(ttl: Any) -> None:
    with pytest.raises(InvalidTtl) as caught:
        ttl_to_ms(ttl)
    assert str(caught.value).startswith("an expiry ")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_an_unreadable_expiry_is_named() -> None:
    with pytest.raises(InvalidTtl, match=r"text such as '1h30m'.* not 'soon'"):
        ttl_to_ms("soon")
    with pytest.raises(InvalidTtl, match=r"above zero .* not '0s'"):
        ttl_to_ms("0s")


@pytest.mark.parametrize(
    ("timeout", "seconds"),
    [(3, 3.0), (0.05, 0.05), ("50ms", 0.05), ("2", 2.0), ("1m", 60.0), (timedelta(seconds=2), 2.0)],
)
def test_a_timeout_comes_out_in_seconds(timeout: Any, seconds: float) -> None:
    assert check_timeout(timeout) == seconds
    assert type(check_timeout(timeout)) is float


@pytest.mark.parametrize("timeout", [*NO_DURATIONS, None, "366d", 366 * 86400])
def test_what_is_no_timeout_is_refused_in_one_short_line(timeout: Any) -> None:
    with pytest.raises(RequestError, match=r"^a timeout is ") as caught:
        check_timeout(timeout)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [90, 90.0, "90s", "1m30s", "90", timedelta(seconds=90)])
def test_any_other_duration_is_given_in_the_same_ways(value: Any) -> None:
    assert seconds_of(value, "a lease") == 90.0
    assert type(seconds_of(value, "a lease")) is float


@pytest.mark.parametrize("value", [*NO_DURATIONS, None])
def test_what_is_no_duration_is_refused_and_the_argument_named(value: Any) -> None:
    with pytest.raises(RequestError, match=r"^a lease is ") as caught:
        seconds_of(value, "a lease")
    assert len(str(caught.value)) < 200


@given(st.floats(1e-3, 1e7))
def test_text_and_number_mean_the_same(seconds: float) -> None:
    text = format_duration(seconds)
    assert abs(ttl_to_ms(text) - ttl_to_ms(seconds)) <= max(501.0, seconds * 1e-2)
