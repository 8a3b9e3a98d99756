"""Keys made from arguments: the same for the same call, and never for two different ones."""

from __future__ import annotations

import enum
import itertools
from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmcache.core.keys import Keys
from zmcache.errors import ConfigError, InvalidKey


def one(a: Any) -> None: ...


def three(a: Any, b: Any, c: Any) -> None: ...


def key_of(value: Any, template: str | None = None) -> str:
    return Keys(one, template).key_for((value,), {})


class Permission(enum.IntFlag):
    READ = 1
    WRITE = 2


class Colour(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Point:
    x: int


class NamedPoint(Point):
    def __init__(self, x: int, name: str) -> None:
        super().__init__(x)
        object.__setattr__(self, "name", name)


Pair = namedtuple("Pair", "a b")  # as older programs write it


class PairWithMethods(Pair):
    __slots__ = ()


class LabelledPair(Pair):  # whose instances have a dictionary is the point
    label = ""


class Typed(NamedTuple):
    a: int


class NotedDate(date):
    __slots__ = ("note",)


BERLIN, TOKYO = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Tokyo")
NOON = datetime(2024, 7, 1, 12)


@pytest.mark.parametrize(
    "different",
    [
        [Permission(0), Permission.READ, Permission.WRITE, Permission(3), Permission(8), Permission(16), Permission(24), 8],
        [Colour.RED, 1, "RED"],
        [time(1, 2), time(1, 2, tzinfo=BERLIN), time(1, 2, tzinfo=TOKYO), time(1, 2, tzinfo=UTC), time(1, 2, fold=1)],
        [NOON, NOON.replace(tzinfo=BERLIN), NOON.replace(tzinfo=ZoneInfo("Europe/Paris")), NOON.replace(tzinfo=timezone(timedelta(hours=2)))],
        [Pair(1, 2), PairWithMethods(1, 2), (1, 2), [1, 2]],
        [Typed(1), Point(1), (1,), 1, 1.0, True, "1", b"1", Decimal(1), None],
        [UUID(int=1), PurePosixPath("a"), "a", date(2024, 1, 1), "2024-01-01", timedelta(1)],
    ],
)  # fmt: skip
def test_two_different_arguments_never_share_a_key(different: list[Any]) -> None:
    assert len({key_of(value) for value in different}) == len(different)


@pytest.mark.parametrize(
    "value",
    [
        NamedPoint(1, "a"), NotedDate(2024, 1, 1), time(1, tzinfo=type("Zone", (tzinfo,), {"utcoffset": lambda *_: None})()), object(),
        float("nan"), [10**5000], (10**5000,),
    ],
)  # fmt: skip
@pytest.mark.parametrize("template", [None, "k:{a}"])
def test_what_two_different_values_could_share_has_no_key(value: Any, template: str | None) -> None:
    with pytest.raises(InvalidKey, match="no key from 'a'"):
        key_of(value, template)
    with pytest.raises(InvalidKey, match="thousands of digits"):
        key_of(10**5000, template)


def test_a_named_tuple_with_attributes_of_its_own_has_no_key() -> None:
    plain, labelled = LabelledPair(1, 2), LabelledPair(1, 2)
    labelled.label = "other"
    assert key_of(plain)
    with pytest.raises(InvalidKey):
        key_of(labelled)


@pytest.mark.parametrize(
    ("template", "args", "key"),
    [
        ("user:{a}", ("rose",), "user:rose"),
        ("user:{a}", ("ada@example.org",), "user:ada@example.org"),
        ("user:{a}", ("a:b",), "user:a:b"),
        ("user:{a}", (-7,), "user:-7"),
        ("user:{a}", (10**30,), "user:" + str(10**30)),
        ("user:{a}/posts", ("posts",), "user:posts/posts"),
        ("user:{a}", ("50%",), "user:50%25"),
        ("user:{a}", (True,), "user:~True"),
        ("user:{a}", ("~True",), "user:%7ETrue"),
        ("{a}:{b}:{c}", ("a:b", "c", -1), "a%3Ab:c:-1"),
        ("{a} and {b}-{c}", ("and", "land", -1), "and and land-%2D1"),
        ("{a}and{b}:{c}", ("sand", "x", "y"), "s%61%6E%64andx:y"),
        ("{a}2{b}:{c}", (12, 21, 3), "1%322%321:3"),
    ],
)
def test_text_and_numbers_stand_in_a_template_as_they_are_but_for_what_separates_two(
    template: str, args: tuple[Any, ...], key: str
) -> None:
    assert Keys(one if len(args) == 1 else three, template).key_for(args, {}) == key


@pytest.mark.parametrize("template", ["{a}{b}:{c}", "{a}%{b}:{c}", "{a}~{b}:{c}", "{a}%a{b}:{c}"])
def test_a_template_that_does_not_tell_two_names_apart_is_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="between two names"):
        Keys(three, template)


TEMPLATES = [
    "{a}:{b}:{c}",
    "{a}-{b}-{c}",
    "{a}x{b}2{c}",
    "{a}%:{b}~:{c}",
    "{a}A{b} {c}",
    "{a}\U0001f600{b}!{c}",
    "{a}\n{b}-%25{c}",
    "{c}0{a}F{b}",
]
VALUES = st.one_of(
    st.integers(-30, 300), st.booleans(), st.none(), st.sampled_from([1.5, "", Decimal("-1")]), st.text("-x2%~:AF0 !\n\x1f\U0001f6005", max_size=6)
)  # fmt: skip


@given(st.sampled_from(TEMPLATES), st.tuples(VALUES, VALUES, VALUES), st.tuples(VALUES, VALUES, VALUES))
def test_in_a_template_two_different_calls_never_share_a_key(
    template: str, args: tuple[Any, ...], others: tuple[Any, ...]
) -> None:
    keys = Keys(three, template)
    assert (keys.key_for(args, {}) == keys.key_for(others, {})) == (_written(args) == _written(others))


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_two_of_thousands_of_calls_that_differ_a_little_share_a_key(template: str) -> None:
    few = ["", "-", "1", -1, 1, 12, "x", "2", "%", ":", "%2", "~", True, None, 0.5, "0", "F"]
    keys, made = Keys(three, template), dict[str, tuple[Any, ...]]()
    for args in itertools.product(few, repeat=3):
        other = made.setdefault(keys.key_for(args, {}), args)
        assert _written(other) == _written(args)


def _written(args: tuple[Any, ...]) -> list[Any]:
    """A 1 and a "1" are the same in a template, and nothing else is."""
    same: Callable[[Any], Any] = lambda a: str(a) if type(a) is int else a if type(a) is str else (type(a), a)  # noqa: E731
    return [same(value) for value in args]
