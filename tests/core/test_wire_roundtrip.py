"""What is encoded is what is decoded, for every message and everything that the limits allow in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zmcache.core import wire
from zmcache.core.holding import BUCKETS
from zmcache.core.tags import WHOLE_GROUP, joined_tags
from zmcache.core.wire import BadFrame, Limits

LIMITS = Limits(key_bytes=32, value_bytes=64, keys=20, message_bytes=64 * 1024)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
uint63 = st.integers(0, 2**63 - 1)
int64 = st.integers(-(2**63), 2**63 - 1)
values = st.binary(max_size=64)
lives = st.just(wire.FOREVER) | st.integers(0, wire.MAX_TTL_MS)
numbers = st.integers(-(2**31), 2**31) | st.floats(allow_nan=False)


def headers(kind: int) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(
        st.just(wire.VERSION),
        st.just(kind),
        uint63,
        st.integers(0, wire.MAX_DEADLINE_MS),
        uint63,
        st.integers(0, 2**64 - 1),
        st.integers(0, 255),
        texts,
    )


def column(cell: st.SearchStrategy[Any], count: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(cell, min_size=count, max_size=count)


@st.composite
def rows(
    draw: st.DrawFn, cls: Callable[..., wire.Message], kind: int, *cells: st.SearchStrategy[Any], optional: int = 0
) -> Any:
    count = draw(st.integers(1, LIMITS.keys))
    columns = [draw(column(cell, count)) for cell in cells]
    extra = [draw(st.none() | column(int64, count)) for _ in range(optional)]
    return cls(*draw(headers(kind)), *columns, *extra)


@st.composite
def answers(draw: st.DrawFn) -> wire.Answer:
    def row(status: int) -> st.SearchStrategy[Any]:
        if status <= wire.FROM_LOADER:
            return values
        return texts if status >= wire.FIRST_ERROR else st.none()

    count = draw(st.integers(1, LIMITS.keys))
    known = (*range(5), wire.NO_SUCH_KEY, 32, 65, 99)
    statuses = bytes(draw(column(st.sampled_from(known), count)))
    places = st.permutations(range(LIMITS.keys)).map(lambda order: list(order[:count]))
    make: Callable[..., wire.Answer] = wire.Answer
    return make(
        *draw(headers(wire.ANSWER)),
        draw(st.none() | places),
        statuses,
        [draw(row(status)) for status in statuses],
        draw(column(lives, count)),
    )


versions = st.integers(0, 2**64 - 1)
tag = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=10)
tags = st.lists(tag, max_size=4).map(joined_tags)


@st.composite
def changes(draw: st.DrawFn) -> wire.Changes:
    kind = draw(st.sampled_from([wire.ADD, wire.CAS, wire.PUT, wire.COPY, wire.OFFER]))
    count = draw(st.integers(1, LIMITS.keys))
    columns = [draw(column(cell, count)) for cell in (keys, st.none() | values, lives, versions)]
    times = [draw(st.none() | column(lives, count)) for _ in range(3)]
    trace = draw(st.none() | st.text("0123456789abcdef-", max_size=55))
    make: Callable[..., wire.Changes] = wire.Changes
    return make(
        *draw(headers(kind)), *columns, *times, trace, draw(st.none() | column(lives, count)),
        draw(st.none() | column(st.integers(0, 3), count)), draw(st.none() | column(tags, count)), draw(st.none() | column(versions, count)),
    )  # fmt: skip


@st.composite
def explained(draw: st.DrawFn) -> wire.Explained:
    count = draw(st.integers(0, 8))
    known = st.integers(wire.UNKNOWN, 2**60)
    columns = [draw(column(cell, count)) for cell in (known, known, known, known, versions, known)]
    make: Callable[..., wire.Explained] = wire.Explained
    return make(*draw(headers(wire.EXPLAINED)), *columns, *(draw(known) for _ in range(3)))


@st.composite
def stores(draw: st.DrawFn) -> wire.Set:
    made: wire.Set = draw(rows(wire.Set, wire.SET, keys, values, lives, optional=2))
    return made._replace(tags=draw(st.none() | column(tags, len(made.keys))))


@st.composite
def gets(draw: st.DrawFn) -> wire.Get:
    made: wire.Get = draw(rows(wire.Get, wire.GET, keys))
    kept = st.lists(st.integers(0, len(made.keys) - 1), min_size=1, max_size=len(made.keys), unique=True)
    return made._replace(trace=draw(st.none() | st.just("00-" + "a" * 52)), kept=draw(st.none() | kept))


@st.composite
def invalidations(draw: st.DrawFn) -> wire.Invalidate:
    told = draw(st.lists(tag | st.just(WHOLE_GROUP), max_size=LIMITS.keys))
    make: Callable[..., wire.Invalidate] = wire.Invalidate
    return make(*draw(headers(wire.INVALIDATE)), told, draw(column(versions, len(told))), draw(versions))


messages = st.one_of(
    explained(),
    st.tuples(headers(wire.EXPLAIN), keys).map(lambda p: wire.Delete._make((*p[0], [p[1]]))),
    gets(),
    rows(wire.Delete, wire.USED, keys),
    changes(),
    st.tuples(headers(wire.DIGESTS), st.lists(versions, min_size=BUCKETS, max_size=BUCKETS), texts).map(
        lambda p: wire.Digests._make((*p[0], *p[1:]))
    ),
    rows(wire.Delete, wire.DELETE, keys),
    stores(),
    invalidations(),
    st.tuples(
        headers(wire.GENERATIONS), st.sampled_from([1, BUCKETS]).flatmap(lambda n: column(versions, n)), texts
    ).map(lambda p: wire.Digests._make((*p[0], *p[1:]))),
    answers(),
    *(headers(kind).map(wire.Query._make) for kind in (wire.PING, wire.TOPOLOGY, wire.STATS, wire.PONG, wire.LEAVE)),
    *(
        st.tuples(headers(kind), versions).map(lambda p: wire.Word._make((*p[0], p[1])))
        for kind in (wire.DOUBT, wire.HANDED, wire.MOMENT)
    ),
    rows(wire.Members, wire.MEMBERS, texts, texts, st.floats(0.01, 100), texts, texts),
    rows(wire.Figures, wire.FIGURES, texts, numbers),
    st.tuples(headers(wire.REFUSAL), st.integers(0, 255), texts).map(lambda p: wire.Refusal._make((*p[0], *p[1:]))),
)


@given(messages)
def test_every_message_comes_back_as_it_was_sent(message: wire.Message) -> None:
    decoded = wire.decode(wire.encode(message), LIMITS)
    assert decoded == message
    assert type(decoded) is type(message)


@given(messages, st.lists(st.none() | st.integers(0, 100) | st.binary(max_size=8), min_size=1, max_size=3))
def test_fields_added_by_a_newer_minor_version_are_ignored(message: wire.Message, added: list[object]) -> None:
    # A newer version knows every field of this one, so its own come after the optional ones.
    fields = list(message)
    newer = wire.sealed(msgpack.packb([wire.VERSION + 1, *fields[1:], *added]))
    assert wire.decode(newer, LIMITS) == message._replace(version=wire.VERSION + 1)


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_bytes_are_never_anything_but_a_bad_frame(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        wire.decode(frame, LIMITS)


@given(messages, st.data())
def test_a_truncated_frame_is_a_bad_frame(message: wire.Message, data: st.DataObject) -> None:
    frame = wire.encode(message)
    cut = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(BadFrame):
        wire.decode(frame[:cut], LIMITS)


@settings(max_examples=500)
@given(messages, st.data())
def test_a_mutated_frame_is_refused_or_is_a_message_within_the_limits(
    message: wire.Message, data: st.DataObject
) -> None:
    frame = bytearray(wire.encode(message)[: -wire.SEAL_BYTES])
    for _ in range(data.draw(st.integers(1, 3))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        decoded = wire.decode(wire.sealed(bytes(frame)), LIMITS)
    except BadFrame:
        return
    assert _same(wire.decode(wire.encode(decoded), LIMITS), decoded)
    for key in getattr(decoded, "keys", ()):
        assert 0 < len(key.encode()) <= LIMITS.key_bytes


@given(messages, st.data())
def test_what_was_garbled_on_the_way_is_a_bad_frame(message: wire.Message, data: st.DataObject) -> None:
    frame = bytearray(wire.encode(message))
    at, other = data.draw(st.integers(0, len(frame) - 1)), data.draw(st.integers(1, 255))
    frame[at] ^= other
    with pytest.raises(BadFrame, match="as they were sent"):
        wire.decode(bytes(frame), LIMITS)


def _same(left: wire.Message, right: wire.Message) -> bool:
    # By their text: a NaN in a FIGURES message is not equal to itself.
    return repr(left) == repr(right)
