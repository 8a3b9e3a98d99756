"""Every rule of a frame, broken one at a time: a `BadFrame` that carries the request id wherever it could be read."""

from __future__ import annotations

import math
import struct
from typing import Any

import msgpack
import pytest

from zmcache.core import wire
from zmcache.core.wire import BadFrame, Limits
from zmcache.errors import InvalidKey, InvalidTag, InvalidTtl, InvalidValue, ValueTooLarge, ZmcacheError

LIMITS = Limits()
ID = 77


def get(*, keys: object = ("a",), **header: object) -> bytes:
    return frame(wire.GET, keys if not isinstance(keys, tuple) else list(keys), **header)


def store(
    *, keys: object = ("a",), values: object = (b"v",), ttls: object = (wire.FOREVER,), extra: tuple[object, ...] = ()
) -> bytes:
    def as_sent(column: object) -> object:
        return list(column) if isinstance(column, tuple) else column

    return frame(wire.SET, as_sent(keys), as_sent(values), as_sent(ttls), *extra)


def answer(positions: object, statuses: object, values: object, lives: object, *extra: object) -> bytes:
    return frame(wire.ANSWER, positions, statuses, values, lives, *extra)


def frame(kind: object, *body: object, **changes: object) -> bytes:
    header: dict[str, object] = {
        "version": wire.VERSION, "kind": kind, "request_id": ID, "deadline_ms": 1000,
        "revision": 1, "digest": 2, "flags": 0, "group": "items",
    }  # fmt: skip
    header |= changes
    return wire.sealed(msgpack.packb([*header.values(), *body]))  # type: ignore[no-any-return]


def refused(bad: bytes, limits: Limits = LIMITS) -> BadFrame:
    with pytest.raises(BadFrame) as caught:
        wire.decode(bad, limits)
    return caught.value


def cause(bad: bytes) -> type[BaseException]:
    error = refused(bad)
    assert error.request_id == ID
    assert isinstance(error.__cause__, ZmcacheError)
    return type(error.__cause__)


def test_the_frames_of_this_module_are_good_until_a_rule_is_broken() -> None:
    wire.decode(get(), LIMITS)
    wire.decode(store(), LIMITS)
    wire.decode(answer(None, b"\x00", [b"v"], [5]), LIMITS)


@pytest.mark.parametrize("kept", [[], [2], [-1], [0, 0, 1], [None], "01", 1, [0.0], b"\0"])
def test_positions_that_are_kept_are_positions_of_the_keys(kept: object) -> None:
    refused(frame(wire.GET, ["a", "b"], None, kept, flags=wire.KEEPS))


@pytest.mark.parametrize("version", [0, 15, wire.VERSION + 16, 255, 2**40, -1, True, "1", None])
def test_another_major_version_is_refused_with_the_request_id(version: object) -> None:
    assert refused(get(version=version)).request_id == ID


def test_a_version_that_is_refused_is_named() -> None:
    assert "2.x" in str(refused(get(version=17)))


@pytest.mark.parametrize("kind", [0, 7, 16, 99, 255, -1, True, "GET", None, 1.0])
def test_an_unknown_kind_is_refused_with_the_request_id(kind: object) -> None:
    assert refused(frame(kind, ["a"])).request_id == ID


@pytest.mark.parametrize("request_id", [-1, 2**63, True, 1.0, "1", None])
def test_a_request_id_that_cannot_be_one_leaves_nobody_to_answer(request_id: object) -> None:
    assert refused(get(request_id=request_id)).request_id is None


@pytest.mark.parametrize(
    "changes",
    [
        {"deadline_ms": -1}, {"deadline_ms": wire.MAX_DEADLINE_MS + 1}, {"deadline_ms": 1.5}, {"deadline_ms": True},
        {"revision": -1}, {"revision": 2**63}, {"revision": None}, {"digest": -1}, {"digest": "x"},
        {"flags": None}, {"flags": True}, {"group": b"items"}, {"group": 3}, {"group": None}, {"group": []},
    ],
    ids=repr,
)  # fmt: skip
def test_a_wrong_header_field_is_refused_with_the_request_id(changes: dict[str, Any]) -> None:
    assert refused(get(**changes)).request_id == ID


@pytest.mark.parametrize(
    "bad",
    [
        b"", b"\xc1", b"\x00", b"\xc0", wire.sealed(msgpack.packb({})), wire.sealed(msgpack.packb("text")), wire.sealed(msgpack.packb([])),
        wire.sealed(msgpack.packb(list(range(7)))), get() + b"\x00", get() + get(),
    ],
    ids=["empty", "never used", "number", "nil", "map", "text", "no header", "short header", "tail", "two in one"],
)  # fmt: skip
def test_what_is_not_one_array_with_a_header_is_refused(bad: bytes) -> None:
    assert refused(bad).request_id is None


def test_a_frame_over_the_message_limit_is_refused_unread() -> None:
    small = Limits(message_bytes=100)
    assert "limit 100" in str(refused(get(keys=("k" * 90,)), small))


@pytest.mark.parametrize("keys", [(), None, "a", {}, 5, b"a"], ids=repr)
def test_keys_that_are_no_list_of_keys_are_refused(keys: object) -> None:
    assert refused(get(keys=keys)).request_id == ID


@pytest.mark.parametrize("key", [b"a", 1, 1.0, None, True, [], ["a"], {}], ids=repr)
def test_a_key_that_is_not_text_is_refused_wherever_it_stands(key: object) -> None:
    for keys in ((key,), ("a", key), (key, "a"), ("k" * 1024, key, "b")):
        assert refused(get(keys=keys)).request_id == ID


def test_an_empty_key_is_refused_wherever_it_stands() -> None:
    for keys in (("",), ("a", ""), ("", "a"), ("a", "", "b" * 1024)):
        assert cause(get(keys=keys)) is InvalidKey
        assert cause(frame(wire.DELETE, list(keys))) is InvalidKey


def test_a_key_may_have_1024_bytes_and_not_one_more() -> None:
    for longest in ("k" * 1024, "é" * 512, "€" * 341 + "k", "😀" * 256):
        assert len(longest.encode()) == 1024
        decoded = wire.decode(get(keys=("a", longest)), LIMITS)
        assert isinstance(decoded, wire.Get)
        assert decoded.keys == ["a", longest]
        assert cause(get(keys=(longest + "k",))) is InvalidKey
        assert cause(get(keys=("a", longest + "k"))) is InvalidKey


def test_a_key_is_measured_in_bytes_and_not_in_characters() -> None:
    assert cause(get(keys=("é" * 513,))) is InvalidKey
    assert cause(get(keys=("😀" * 257,))) is InvalidKey
    assert cause(store(keys=("😀" * 300,))) is InvalidKey


def test_a_thousand_keys_are_taken_and_one_more_is_not() -> None:
    thousand = tuple(f"key-{n}" for n in range(1000))
    decoded = wire.decode(get(keys=thousand), LIMITS)
    assert isinstance(decoded, wire.Get)
    assert decoded.keys == list(thousand)
    assert cause(get(keys=(*thousand, "one more"))) is InvalidKey
    # At this many the unpacker itself stops, before it has made them.
    assert refused(get(keys=tuple(map(str, range(70_000))))).request_id is None


@pytest.mark.parametrize("lone", [b"\xed\xa0\x80", b"\xff\xfe", b"\xc3("])
def test_a_key_that_is_not_utf8_is_refused(lone: bytes) -> None:
    packed = get(keys=("\x01" * len(lone),))[: -wire.SEAL_BYTES].replace(b"\x01" * len(lone), lone)
    assert packed.endswith(lone)
    refused(wire.sealed(packed))


def test_a_key_with_a_lone_surrogate_is_refused_before_it_is_sent() -> None:
    for key in ("\ud800", "k" * 1000 + "\udfff"):
        with pytest.raises(InvalidKey):
            wire.check_key(key, 1024)


@pytest.mark.parametrize("key", ["", b"a", None, 1, "k" * 1025, "é" * 513, "😀" * 257])
def test_the_sender_refuses_the_keys_that_the_reader_would_refuse(key: object) -> None:
    with pytest.raises(InvalidKey):
        wire.check_key(key, 1024)


@pytest.mark.parametrize("value", ["text", 1, None, [], True], ids=repr)
def test_a_value_that_is_not_bytes_is_refused(value: object) -> None:
    assert cause(store(values=(value,))) is InvalidValue


def test_a_value_may_be_empty_and_may_have_a_mebibyte_and_not_one_byte_more() -> None:
    for size in (0, 2**20):
        decoded = wire.decode(store(values=(b"v" * size,)), LIMITS)
        assert isinstance(decoded, wire.Set)
        assert len(decoded.values[0]) == size
    error = refused(store(values=(b"v" * (2**20 + 1),))).__cause__
    assert isinstance(error, ValueTooLarge)
    assert (error.size, error.limit) == (2**20 + 1, 2**20)


@pytest.mark.parametrize("ttl", [wire.TTL_DEFAULT, wire.FOREVER, 1, wire.MAX_TTL_MS])
def test_an_expiry_that_has_a_meaning_is_taken(ttl: int) -> None:
    decoded = wire.decode(store(ttls=(ttl,)), LIMITS)
    assert isinstance(decoded, wire.Set)
    assert decoded.ttls_ms == [ttl]


@pytest.mark.parametrize("ttl", [-2, -(2**63), wire.MAX_TTL_MS + 1, 2**64 - 1])
def test_an_expiry_out_of_range_is_refused_as_such(ttl: int) -> None:
    assert cause(store(ttls=(ttl,))) is InvalidTtl


@pytest.mark.parametrize("ttl", [math.nan, math.inf, 1.0, True, False, None, "1", b"1", []], ids=repr)
def test_an_expiry_that_is_not_a_whole_number_is_refused(ttl: object) -> None:
    assert refused(store(ttls=(ttl,))).request_id == ID


@pytest.mark.parametrize(
    "columns",
    [{"values": ()}, {"values": (b"v", b"w")}, {"ttls": ()}, {"ttls": (1, 2)}, {"values": b"v"}, {"ttls": 5},
     {"extra": ([1, 2],)}, {"extra": ([True],)}, {"extra": (None, "1")}, {"extra": (5,)}],
    ids=repr,
)  # fmt: skip
def test_columns_of_unequal_length_or_of_another_type_are_refused(columns: dict[str, Any]) -> None:
    assert refused(store(**columns)).request_id == ID


@pytest.mark.parametrize("body", [(), (["a"],), (["a"], [b"v"])])
def test_a_set_without_all_its_columns_is_refused(body: tuple[object, ...]) -> None:
    assert refused(frame(wire.SET, *body)).request_id == ID


@pytest.mark.parametrize(
    "body",
    [
        (None, b"", [], []),
        (None, b"\x00", [None], [0]),
        (None, b"\x00", ["text"], [0]),
        (None, bytes([16]), [b"v"], [0]),
        (None, bytes([65]), [None], [0]),
        (None, bytes([65]), [b"v"], [0]),
        (None, "\x00", [b"v"], [0]),
        (None, [0], [b"v"], [0]),
        (None, b"\x00", [b"v"], [0, 1]),
        (None, b"\x00", [b"v"], [True]),
        (None, b"\x00", [b"v"], [0.5]),
        (None, b"\x00", [b"v", b"w"], [0]),
        ([], b"\x00", [b"v"], [0]),
        ([-1], b"\x00", [b"v"], [0]),
        ([1000], b"\x00", [b"v"], [0]),
        ([True], b"\x00", [b"v"], [0]),
        ([2**64 - 1], b"\x00", [b"v"], [0]),
        ([0, 0], b"\x00\x00", [b"v", b"w"], [0, 0]),
        (None, b"\x00", [b"v"], [0], [1, 2]),
        (None, b"\x00", [b"v"], [0], None, [None]),
        (None, b"\x00", [b"v"]),
        (),
    ],
    ids=repr,
)
def test_an_answer_that_contradicts_itself_is_refused(body: tuple[object, ...]) -> None:
    assert refused(frame(wire.ANSWER, *body)).request_id == ID


@pytest.mark.parametrize("life", [-2, -(2**63)])
def test_a_life_below_zero_is_refused(life: int) -> None:
    assert refused(answer(None, b"\x00", [b"v"], [life])).request_id == ID


def test_a_value_in_an_answer_obeys_the_limit_too() -> None:
    assert refused(answer(None, b"\x00", [b"v" * (2**20 + 1)], [0])).request_id == ID


@pytest.mark.parametrize("weight", [True, math.nan, math.inf, 0, -1.0, "1", None], ids=repr)
def test_a_member_with_a_weight_that_no_ring_can_have_is_refused(weight: object) -> None:
    members = frame(wire.MEMBERS, ["a"], ["tcp://a:1"], [weight], [""], ["serving"])
    assert refused(members).request_id == ID


@pytest.mark.parametrize(
    "body",
    [
        (5, ["e"], [1.0], [""], ["s"]), ("a", "e", [1.0], "z", "s"), ({}, {}, {}, {}, {}),
        (["a"], [], [1.0], [""], ["s"]), (["a"], ["e"], [1.0], [""]), ([b"a"], ["e"], [1.0], [""], ["s"]), (),
    ],
    ids=repr,
)  # fmt: skip
def test_members_that_are_no_parallel_columns_are_refused(body: tuple[object, ...]) -> None:
    assert refused(frame(wire.MEMBERS, *body)).request_id == ID


@pytest.mark.parametrize("body", [(["a"], []), (["a"], ["1"]), (["a"], [True]), ("a", [1]), (5, 5), ()], ids=repr)
def test_figures_that_are_no_names_and_numbers_are_refused(body: tuple[object, ...]) -> None:
    assert refused(frame(wire.FIGURES, *body)).request_id == ID


@pytest.mark.parametrize(
    "body",
    [
        (), ([],) * 6, (*([],) * 6, 0, 0), (*([1],) * 5, [], 0, 0, 0), (*(["1"],) * 6, 0, 0, 0), (*([1],) * 6, 0, 0, "0"),
        (*([1],) * 6, 0, -2, 0), (*([-2],) * 6, 0, 0, 0), (*([1],) * 4, [-1], [1], 0, 0, 0), (5,) * 9,
    ],
    ids=repr,
)  # fmt: skip
def test_an_explanation_that_is_no_parallel_columns_and_numbers_is_refused(body: tuple[object, ...]) -> None:
    assert refused(frame(wire.EXPLAINED, *body)).request_id == ID


def test_one_key_is_explained_at_a_time() -> None:
    assert refused(frame(wire.EXPLAIN, ["a", "b"])).request_id == ID


@pytest.mark.parametrize("body", [(), (65,), ("65", "x"), (True, "x"), (65, b"x"), (65, "x" * 5000)])
def test_a_refusal_without_a_code_and_a_text_is_refused(body: tuple[object, ...]) -> None:
    assert refused(frame(wire.REFUSAL, *body)).request_id == ID


@pytest.mark.parametrize("depth", [2, 100, 10_000, 200_000])
def test_nesting_is_refused_however_deep(depth: int) -> None:
    nested = b"\x91" * depth + b"\xa1a"
    good = get(keys="X")[: -wire.SEAL_BYTES]
    assert good.endswith(b"\xa1X")
    refused(wire.sealed(good[:-2] + nested))


@pytest.mark.parametrize(
    "extension",
    [msgpack.ExtType(1, b""), msgpack.ExtType(1, b"abc"), msgpack.Timestamp(5), msgpack.Timestamp(2**40, 7)],
    ids=repr,
)
def test_extension_types_and_maps_are_refused_wherever_they_stand(extension: object) -> None:
    for thing in (extension, {}, {"a": 1}):
        refused(get(keys=(thing,)))
        refused(get(keys=thing))
        refused(get(group=thing))
        refused(store(values=(thing,)))
        refused(store(ttls=(thing,)))
        refused(frame(wire.GET, ["a"], request_id=thing))


def test_a_length_that_promises_more_than_the_frame_holds_takes_no_memory() -> None:
    huge = struct.pack(">BI", 0xDD, 2**32 - 1)  # an array of four thousand million elements, in five bytes
    refused(huge)
    refused(get()[:-2] + huge)
    refused(get()[:-2] + struct.pack(">BI", 0xC6, 2**32 - 1))


def test_the_topology_of_ten_thousand_nodes_fits_in_a_message() -> None:
    names = [f"node-{n}" for n in range(10_000)]
    columns = [1.0] * 10_000, [""] * 10_000, ["serving"] * 10_000
    members = wire.Members(
        *wire.header(wire.MEMBERS, 7, (3, 4)), names, [f"tcp://{name}:7401" for name in names], *columns
    )
    assert wire.decode(wire.encode(members), Limits()) == members


@pytest.mark.parametrize(
    "body",
    [
        (),
        ([],),
        ([1], 5),
        ([1, -1], "a"),
        ([1, 1.5], "a"),
        (["1"], "a"),
        ([True], "a"),
        ("digests", "a"),
        (7, "a"),
    ],
)
def test_digests_are_numbers_of_64_bits_and_a_senders_name(body: tuple[object, ...]) -> None:
    with pytest.raises(BadFrame) as caught:
        wire.decode(frame(wire.DIGESTS, *body), LIMITS)
    assert caught.value.request_id == ID


@pytest.mark.parametrize(
    ("versions", "fresh", "flags"),
    [
        ([-1], None, None),
        ([1.5], None, None),
        ([1, 2], None, None),
        ([1], [-2], None),
        ([1], None, ["gone"]),
        ([1], [1, 2], None),
    ],
)
def test_a_copy_has_a_version_and_times_as_they_are(versions: object, fresh: object, flags: object) -> None:
    body = (["k"], [b"v"], [wire.FOREVER], versions, None, None, None, None, fresh, flags)
    with pytest.raises(BadFrame):
        wire.decode(frame(wire.COPY, *body), LIMITS)


def test_a_set_of_before_there_were_tags_is_a_set_without_any() -> None:
    decoded = wire.decode(frame(wire.SET, ["a"], [b"v"], [wire.FOREVER], None, None), LIMITS)
    assert isinstance(decoded, wire.Set)
    assert decoded.tags is None
    older = wire.decode(frame(wire.PUT, ["a"], [b"v"], [0], [7], [0], [0], [5], None, None, None), LIMITS)
    assert isinstance(older, wire.Changes)
    assert (older.tags, older.stamps) == (None, None)


@pytest.mark.parametrize(
    "text", ["a\n", "\n", "a\n\nb", "a\x00", "x" * 251, "\n".join(map(str, range(33))), "\n".join(["a"] * 10_000)]
)
def test_tags_that_no_caller_could_have_given_are_refused_as_such(text: str) -> None:
    assert cause(store(extra=(None, None, [text]))) is InvalidTag
    columns = (["a"], [b"v"], [0], [7], None, None, None, None, None, None)
    assert cause(frame(wire.PUT, *columns, [text])) is InvalidTag


@pytest.mark.parametrize("column", [[], ["a", "b"], [b"a"], [None], "a", 5, [["a"]]], ids=repr)
def test_a_column_of_tags_of_another_length_or_type_is_refused(column: object) -> None:
    assert refused(store(extra=(None, None, column))).request_id == ID


@pytest.mark.parametrize(
    "body",
    [(), (["a"],), (["a"], [1]), (["a"], [1, 2], 0), (["a"], [-1], 0), (["a"], [1], "0"), ([""], [1], 0),
     ([5], [1], 0), ("a", [1], 0), (["a\nb"], [1], 0), ([], [1], 0), ([], None, 0)],
    ids=repr,
)  # fmt: skip
def test_tags_that_cannot_have_been_invalidated_are_refused(body: tuple[object, ...]) -> None:
    assert refused(frame(wire.INVALIDATE, *body)).request_id == ID


def test_more_tags_in_one_message_than_it_may_have_keys_are_refused() -> None:
    thousand = [f"tag-{n}" for n in range(1000)]
    wire.decode(frame(wire.INVALIDATE, thousand, [1] * 1000, 0), LIMITS)
    assert refused(frame(wire.INVALIDATE, [*thousand, "one more"], [1] * 1001, 0)).request_id == ID


@pytest.mark.parametrize("digests", [[], [1, 2], [1] * 255, [-1], ["1"], 5, None], ids=repr)
def test_digests_of_tags_are_one_or_one_a_bucket(digests: object) -> None:
    assert refused(frame(wire.GENERATIONS, digests, "a")).request_id == ID
