"""Codecs of builtin values: what comes back, what is refused with a hint, and that garbage is never more than `Undecodable`."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmcache.codecs import Codec, Undecodable, make_codec
from zmcache.codecs.plain import RawCodec
from zmcache.errors import InvalidValue


@dataclass
class User:
    name: str


class Point(NamedTuple):
    x: int


def codec(name: str) -> Codec[Any]:
    made = make_codec(name)
    assert made is not None
    return made


MSGPACK, JSON = codec("msgpack"), codec("json")
BOTH = pytest.mark.parametrize("made", [MSGPACK, JSON], ids=["msgpack", "json"])

text = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=30).filter(
    lambda v: v is not None
)


@given(values)
def test_builtin_values_come_back_as_they_were(value: Any) -> None:
    for made in (MSGPACK, JSON):
        assert made.decode(made.encode(value)) == value


@given(st.dictionaries(st.integers(0, 9) | text, st.binary() | st.datetimes(timezones=st.just(UTC))))
def test_msgpack_carries_bytes_and_datetimes_and_keys_that_are_numbers(value: Any) -> None:
    assert MSGPACK.decode(MSGPACK.encode(value)) == value


def test_a_datetime_with_a_time_zone_comes_back_as_the_same_moment() -> None:
    moment = datetime(2024, 5, 6, 7, 8, 9, 10, tzinfo=timezone(timedelta(hours=2)))
    assert MSGPACK.decode(MSGPACK.encode(moment)) == moment


@BOTH
@pytest.mark.parametrize("value", [0, 1, "", [], {}, False, 0.0, "\0z", "\0="])
def test_empty_and_zero_values_are_values(made: Codec[Any], value: Any) -> None:
    back = made.decode(made.encode(value))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("number", [0, 7, 42, -5, 10**30])
def test_json_reads_the_whole_numbers_that_a_counter_writes(number: int) -> None:
    assert JSON.decode(str(number).encode()) == number


@BOTH
@pytest.mark.parametrize(
    ("value", "named"),
    [
        (User("Ada"), "User: it is no builtin value; declare it as the group's type"), (Point(1), "Point: .* declare"),
        ({1, 2}, "set: it would come back as a list"), (frozenset(), "frozenset: "), (bytearray(b"x"), "bytearray: .* make it bytes"),
        (memoryview(b"x"), "memoryview: "), (object(), "object: "), (date(2024, 1, 1), "date: "), (datetime(2024, 1, 1), "datetime: .* time zone"),
        (User, "type: "), ([object()], "list: .*object is unsupported"), ({"a": "\ud800"}, "dict: .*surrogates"), (1j, "complex: "),
        ({"a": {(1, object()): 2}}, "dict: "),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_is_refused_and_its_type_named(made: Codec[Any], value: Any, named: str) -> None:
    with pytest.raises(InvalidValue, match=rf"^the codec {made.name} cannot carry {named}"):
        made.encode(value)


@pytest.mark.parametrize("value", [b"x", math.nan, math.inf, -math.inf])
def test_json_refuses_what_it_would_give_back_as_something_else(value: Any) -> None:
    with pytest.raises(InvalidValue, match="json cannot carry"):
        JSON.encode(value)
    assert repr(MSGPACK.decode(MSGPACK.encode(value))) == repr(value)


def test_a_whole_number_too_large_for_msgpack_is_refused() -> None:
    with pytest.raises(InvalidValue, match="int: can't serialize ints"):
        MSGPACK.encode(2**64)


@BOTH
def test_a_value_that_contains_itself_is_refused_and_crashes_nothing(made: Codec[Any]) -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidValue, match="list: maximum recursion"):
        made.encode(value)


@BOTH
@given(data=st.binary())
def test_garbage_is_a_value_or_undecodable(made: Codec[Any], data: bytes) -> None:
    with contextlib.suppress(Undecodable):
        made.decode(data)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\x91" * 1_000_000, b"\x81\xa1a" * 500_000, b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\xc1",
        b"\x01\x02",        b"\xd6\xff", b"\xc7\x0c\xff" + b"\xff" * 12, b"\xa1\xff", b"\x81\x80\x01",
    ],
)  # fmt: skip
def test_bombs_and_halves_of_msgpack_are_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        MSGPACK.decode(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"[" * 1_000_000, b'{"a":' * 500_000, b"42 43", b'"\xff"', b"nul", b"\xff", b"9" * 10_000 + b"e", b"\0"],
)
def test_bombs_and_halves_of_json_are_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        JSON.decode(data)


def test_raw_gives_the_same_object_and_hints_at_what_to_do_with_others() -> None:
    raw, value = RawCodec(), b"x"
    assert raw.encode(value) is value
    assert raw.decode(value) is value
    for other, hint in (
        ("x", "encode it"),
        (bytearray(b"x"), r"bytes\(value\)"),
        (memoryview(b"x"), r"bytes\(value\)"),
        (1, ""),
    ):
        with pytest.raises(InvalidValue, match=f"a value is bytes, not {type(other).__name__}.*{hint}"):
            raw.encode(other)  # type: ignore[arg-type]
