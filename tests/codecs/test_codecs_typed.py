"""Values of a declared type: every kind msgspec knows, what is not of the type, and types that have changed."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType, TypedDict
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmcache.codecs import Codec, Undecodable, make_codec
from zmcache.codecs.fingerprint import fingerprint
from zmcache.errors import ConfigError, InvalidValue


class Colour(Enum):
    RED = "red"


class NoData:
    """What no format has a place for; its name is the same in every process."""

    def __repr__(self) -> str:
        return "NO_DATA"


NO_DATA = NoData()


@dataclass
class User:
    name: str
    age: int
    friends: list[User] = field(default_factory=list)


class Order(msgspec.Struct):
    id: UUID
    price: Decimal
    when: datetime
    colour: Colour = Colour.RED
    tags: frozenset[str] = frozenset({"a", "b", "c", "d"})
    kind: Literal["x", "y", "z", 1, 2] | None = None
    by: User | None = None


class Row(TypedDict):
    a: int
    b: str


class Point(NamedTuple):
    x: int
    y: int = 0


class Odd(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        if self.x % 2 == 0:
            raise KeyError("even")  # what msgspec does not translate


Id = NewType("Id", int)


def codec(kind: object) -> Codec[Any]:
    made = make_codec(type=kind)
    assert made is not None
    return made


ADA = User("Ada", 36, [User("Bob", 1)])
ORDER = Order(UUID(int=1), Decimal("1.10"), datetime(2024, 1, 2), by=ADA)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (User, ADA), (Order, ORDER), (Row, {"a": 1, "b": "x"}), (Point, Point(1, 2)), (list[int], [1, 2]), (list, [1, "a"]),
        (dict[int, list[str]], {1: ["a"]}), (tuple[int, str], (1, "a")), (set[int], {1, 2}), (int, 0), (str, "\0"), (bytes, b"\0"), (float, 1.5),
        (float, 1), (bool, False), (datetime, datetime(2024, 1, 2)), (Colour, Colour.RED), (User | None, ADA), (int | str, "x"),
        (Literal[1, "a"], "a"),
        (Annotated[int, msgspec.Meta(gt=0)], 1), (Id, 5), (Any, {"a": [1]}), (Mapping[str, int], {"a": 1}),
        (list[User], [ADA]), (dict[str, User], {"a": ADA}),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_of_the_type_comes_back_as_it_was(kind: object, value: Any) -> None:
    made = codec(kind)
    back = made.decode(made.encode(value))
    assert back == value
    assert type(back) is type(value) or kind is float


users = st.recursive(
    st.builds(User, st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63)),
    lambda friends: st.builds(User, st.just("x"), st.integers(0, 9), st.lists(friends)),
    max_leaves=8,
)


@given(st.lists(users))
def test_any_users_come_back_as_they_were(value: list[User]) -> None:
    made = codec(list[User])
    assert made.decode(made.encode(value)) == value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (User, {"name": "Ada", "age": 36}), (User, "Ada"), (User, User), (User, None), (User, ORDER), (User, User("Ada", "old")),  # type: ignore[arg-type]
        (User, User("Ada", 36, [User(1, 1)])), (User, User("Ada", 2**70)), (User, User("\ud800", 1)), (list[int], ["1"]), (list[int], (1, 2)),  # type: ignore[arg-type]
        (list[int], [1, None]), (dict[str, int], {1: 1}), (Row, {"a": 1}), (Row, {"a": "1", "b": "x"}), (Point, (1, 2)), (int, True),
        (int, "1"), (int, 1.0),
        (float, True), (float, "1"), (bytes, bytearray(b"x")), (str, b"x"), (bool, 1), (datetime, "2024-01-02T00:00:00"), (Colour, "red"),
        (User | None, 1), (Literal[1, "a"], 2), (Annotated[int, msgspec.Meta(gt=0)], 0), (Id, "5"), (Any, NO_DATA),
        (list[User], [{"name": "Ada", "age": "x"}]),
    ],
    ids=repr,
)  # fmt: skip
def test_a_value_of_another_type_is_refused_on_the_way_in(kind: object, value: Any) -> None:
    with pytest.raises(InvalidValue, match=rf"cannot carry {type(value).__name__}: "):
        codec(kind).encode(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    ada = User("Ada", 36)
    ada.friends.append(ada)
    with pytest.raises(InvalidValue, match="User: maximum recursion"):
        codec(User).encode(ada)


def test_what_a_class_itself_raises_is_told_as_the_codecs_errors() -> None:
    made, good = codec(Odd), Odd(1)
    data = made.encode(good)
    good.x = 2
    with pytest.raises(InvalidValue, match="Odd: 'even'"):
        made.encode(good)
    with pytest.raises(Undecodable):
        made.decode(data[:4] + msgspec.msgpack.encode({"x": 2}))


def struct(*fields: Any, **options: Any) -> type[msgspec.Struct]:
    return msgspec.defstruct("Thing", list(fields), **options)


class Before(IntEnum):
    A, B = 1, 2


class After(IntEnum):
    B, A = 1, 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (struct(("name", str, "")), struct(("title", str, ""))),
        (struct(("a", int)), struct(("a", int), ("b", int, 0))),
        (struct(("a", int), ("b", int, 0)), struct(("a", int))),
        (struct(("a", int)), struct(("a", float))),
        (struct(("a", int)), struct(("a", int | None))),
        (struct(("a", int, 1), omit_defaults=True), struct(("a", int, 2), omit_defaults=True)),
        (struct(("a", int), ("b", int), array_like=True), struct(("b", int), ("a", int), array_like=True)),
        (struct(("a", struct(("b", int, 0)))), struct(("a", struct(("c", int, 0))))),
        (list[struct(("a", int, 0))], list[struct(("b", int, 0))]),  # type: ignore[misc]
        (make_dataclass("Thing", [("a", int, 0)]), make_dataclass("Thing", [("b", int, 0)])),
        (NamedTuple("Thing", [("a", int), ("b", int)]), NamedTuple("Thing", [("b", int), ("a", int)])),
        (TypedDict("Thing", {"a": int}, total=False), TypedDict("Thing", {"b": int}, total=False)),
        (list[int], list[str]), (list[int], set[int]), (dict[int, int], dict[str, int]), (Before, After), (bytes, str), (int, float),
        (Literal["a"], Literal["a", "b"]),
    ],
)  # fmt: skip
def test_a_value_whose_schema_changed_is_a_miss(old: Any, new: Any) -> None:
    assert fingerprint(old) != fingerprint(new)
    with pytest.raises(Undecodable, match="another version"):
        codec(new).decode(fingerprint(old) + msgspec.msgpack.encode({}))


def test_a_renamed_field_with_a_default_is_never_filled_with_the_default() -> None:
    old, new = struct(("name", str, "")), struct(("title", str, ""))
    with pytest.raises(Undecodable):
        codec(new).decode(codec(old).encode(old("Ada")))


def test_a_docstring_is_no_change_and_a_field_called_description_is_one() -> None:
    def thing(doc: str, name: str) -> type:
        return msgspec.defstruct("Thing", [(name, str, "")], namespace={"__doc__": doc})

    assert fingerprint(thing("One.", "a")) == fingerprint(thing("Another.", "a"))
    assert fingerprint(thing("", "description")) != fingerprint(thing("", "title"))


def test_the_fingerprint_is_the_same_in_every_process() -> None:
    program = (
        "import test_codecs_typed as t; from zmcache.codecs.fingerprint import fingerprint as f;"
        "print(*[f(k).hex() for k in (t.Order, t.User, t.Row, t.Point, t.Colour)])"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"],
            env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True,
        ).stdout
        for seed in ("1", "2", "3")
    }  # fmt: skip
    assert printed == {" ".join(fingerprint(kind).hex() for kind in (Order, User, Row, Point, Colour)) + "\n"}


def test_no_fingerprint_looks_like_a_counter_or_a_mark() -> None:
    assert all(fingerprint(kind)[0] >= 0x80 for kind in (User, Order, Row, Point, int, str, list[int]))


@given(st.binary(), st.booleans())
def test_garbage_is_a_value_or_undecodable(data: bytes, marked: bool) -> None:
    with contextlib.suppress(Undecodable):
        assert isinstance(codec(User).decode(fingerprint(User) + data if marked else data), User)


@pytest.mark.parametrize("body", [b"", b"\x81\xa7friends\x91" * 100_000, b"\xdf\xff\xff\xff\xff", b"\x80", b"\x01"])
def test_bombs_and_halves_are_undecodable(body: bytes) -> None:
    with pytest.raises(Undecodable):
        codec(User).decode(fingerprint(User) + body)


@pytest.mark.parametrize("number", [b"4", b"42", b"123456"])
def test_a_counter_is_no_value_of_a_type(number: bytes) -> None:
    with pytest.raises(Undecodable):
        codec(int).decode(number)


@pytest.mark.parametrize(
    ("kind", "named"),
    [
        (object, "object"), (complex, "complex"),
        (list[complex], r"list\[complex\]: it does not know complex"),
        (make_dataclass("Bad", [("a", type)]), "Bad: .* type"),
        ("User", "'User'"), (5, "5"), (len, "len"),
        (make_dataclass("A", ["x"]) | make_dataclass("B", ["y"]), "may not contain more than one"),
        (make_dataclass("Lost", [("a", "Nowhere")]), "Lost: name 'Nowhere'"),
    ],
)  # fmt: skip
def test_a_type_that_msgspec_cannot_handle_is_refused_at_once(kind: Any, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"expected a type that msgspec can handle, found .*{named}") as caught:
        make_codec(type=kind)
    assert "\n" not in str(caught.value)
