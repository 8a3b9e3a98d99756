"""What may stand in a message of each kind: every rule and every limit, checked before anything of it is kept.

A reader takes the fields as msgpack unpacked them, the header's already checked, and returns the message. A field that is missing or of the
wrong type or length raises `IndexError`, `TypeError` or `ValueError`; what its sender can be told as a mistake of its own, a `RequestError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from zmcache.core.fields import check_trace, check_value, keys_at, numbers, numbers_or_none
from zmcache.core.holding import BUCKETS
from zmcache.core.messages import (
    Answer,
    Cancel,
    Changes,
    Delete,
    Digests,
    Explained,
    Figures,
    Following,
    Get,
    Invalidate,
    Limits,
    Members,
    Message,
    News,
    Query,
    Refusal,
    Set,
    Word,
)
from zmcache.core.numbers import (
    ADD,
    ANSWER,
    CANCEL,
    CAS,
    CLEAR,
    COPY,
    DELETE,
    DIGESTS,
    DOUBT,
    DUE,
    EXPLAIN,
    EXPLAINED,
    FIGURES,
    FILL,
    FIRST_ERROR,
    FOLLOWING,
    FOREVER,
    FROM_HOT,
    FROM_LOADER,
    FROM_OWNER,
    GENERATIONS,
    GET,
    GETS,
    HANDED,
    HEADER_FIELDS,
    INCR,
    INVALIDATE,
    LEASED,
    LEAVE,
    MAX_TEXT,
    MAX_TTL_MS,
    MEMBERS,
    MOMENT,
    NEWS,
    OFFER,
    PING,
    PONG,
    PUT,
    REFUSAL,
    RELEASE,
    SET,
    STALE,
    STATS,
    TOPOLOGY,
    TOUCH,
    UNKNOWN,
    UNWATCH,
    USED,
    WATCH,
)
from zmcache.core.ring import MAX_WEIGHT
from zmcache.core.tags import WHOLE_GROUP, check_joined, check_tag
from zmcache.errors import InvalidKey, InvalidTtl

_VALUES: Final = bytes((FROM_OWNER, FROM_HOT, FROM_LOADER))  # beside these statuses stands a value
# Where a value may be an old one, and an old one may be None.
_OLD_VALUES: Final = frozenset({STALE, DUE, LEASED})


def _read_get(fields: list[Any], limits: Limits) -> Get:
    keys = keys_at(fields, limits)
    check_trace(fields, HEADER_FIELDS + 1)
    kept = fields[HEADER_FIELDS + 2] if len(fields) > HEADER_FIELDS + 2 else None
    if kept is not None and (len(kept) > len(keys) or not 0 <= min(numbers(kept, len(kept))) <= max(kept) < len(keys)):
        raise ValueError
    return Get(*fields[: HEADER_FIELDS + 3])


def _read_delete(fields: list[Any], limits: Limits) -> Delete:
    keys_at(fields, limits)
    return Delete(*fields[: HEADER_FIELDS + 1])


def _read_set(fields: list[Any], limits: Limits) -> Set:
    count = len(keys_at(fields, limits))
    values, ttls = fields[9], fields[10]
    if type(values) is not list or len(values) != count:
        raise TypeError
    for value in values:
        check_value(value, limits.value_bytes)
    _ttls(ttls, count)
    numbers_or_none(fields, 11, count)
    numbers_or_none(fields, 12, count)
    _tags(fields, 13, count)
    return Set(*fields[: HEADER_FIELDS + 6])


def _ttls(field: object, count: int) -> None:
    for ttl in numbers(field, count):
        if not FOREVER <= ttl <= MAX_TTL_MS:
            raise InvalidTtl(f"an expiry of {ttl} ms")


def _read_changes(fields: list[Any], limits: Limits) -> Changes:
    count = len(keys_at(fields, limits))
    values, ttls, tokens = fields[9:12]
    if type(values) is not list or len(values) != count:
        raise TypeError
    for value in values:
        if value is not None:
            check_value(value, limits.value_bytes)
    _ttls(ttls, count)
    _tokens(tokens, count)
    for at in (12, 13, 14):
        if at < len(fields) and fields[at] is not None:
            _ttls(fields[at], count)
    check_trace(fields, 15)
    if len(fields) > 16 and fields[16] is not None:
        _ttls(fields[16], count)
    numbers_or_none(fields, 17, count)
    _tags(fields, 18, count)
    if len(fields) > 19 and fields[19] is not None:
        _tokens(fields[19], count)
    return Changes(*fields[: HEADER_FIELDS + 12])


def _tags(fields: list[Any], at: int, count: int) -> None:
    if at < len(fields) and fields[at] is not None:
        for text in _column(fields, at, {str}, count):
            check_joined(text)


def _tokens(field: object, count: int) -> None:
    tokens = numbers(field, count)
    if not 0 <= min(tokens) <= max(tokens) < 1 << 64:
        raise ValueError


def _read_invalidate(fields: list[Any], limits: Limits) -> Invalidate:
    tags = fields[HEADER_FIELDS]
    if type(tags) is not list or len(tags) > limits.keys:
        raise ValueError
    for tag in tags:
        if tag != WHOLE_GROUP:
            check_tag(tag)
    if tags or fields[9] != []:
        _tokens(fields[9], len(tags))
    _tokens(fields[10:11], 1)
    return Invalidate(*fields[: HEADER_FIELDS + 3])


def _read_generations(fields: list[Any], limits: Limits) -> Digests:
    digests = fields[HEADER_FIELDS]
    if type(digests) is not list or len(digests) not in (1, BUCKETS):
        raise ValueError
    _tokens(digests, len(digests))
    if type(fields[HEADER_FIELDS + 1]) is not str:
        raise TypeError
    return Digests(*fields[: HEADER_FIELDS + 2])


def _read_digests(fields: list[Any], limits: Limits) -> Digests:
    digests = fields[HEADER_FIELDS]
    if type(digests) is not list or len(digests) != BUCKETS:
        raise ValueError
    _tokens(digests, len(digests))
    if type(fields[HEADER_FIELDS + 1]) is not str:
        raise TypeError
    return Digests(*fields[: HEADER_FIELDS + 2])


def _read_following(fields: list[Any], limits: Limits) -> Following:
    _tokens(fields[8:10], 2)
    return Following(*fields[: HEADER_FIELDS + 2])


def _read_news(fields: list[Any], limits: Limits) -> News:
    _tokens(fields[8:10], 2)
    count = len(keys_at(fields, limits, 10)) if fields[10] else 0
    values, lives, versions, flags, skipped = fields[11:16]
    for value in values:
        if value is not None:
            check_value(value, limits.value_bytes)
    if type(values) is not list or len(values) != count:
        raise TypeError
    if count:
        _ttls(lives, count)
        for column in (versions, flags, skipped):
            _tokens(column, count)
    elif fields[10] != [] or not lives == versions == flags == skipped == []:
        raise TypeError
    return News(*fields[: HEADER_FIELDS + 8])


def _read_cancel(fields: list[Any], limits: Limits) -> Cancel:
    positions = fields[8]
    if positions is not None and not (
        type(positions) is list and len(positions) <= limits.keys and set(map(type, positions)) <= {int}
    ):
        raise TypeError
    return Cancel(*fields[: HEADER_FIELDS + 1])


def _read_word(fields: list[Any], limits: Limits) -> Word:
    _tokens(fields[8:9], 1)
    return Word(*fields[: HEADER_FIELDS + 1])


def _read_query(fields: list[Any], limits: Limits) -> Query:
    return Query(*fields[:HEADER_FIELDS])


def _read_answer(fields: list[Any], limits: Limits) -> Answer:
    positions, statuses, values, lives = fields[8:12]
    if type(statuses) is not bytes or type(values) is not list:
        raise TypeError
    count = len(statuses)
    if not 0 < count <= max(limits.keys, BUCKETS) or len(values) != count:
        raise ValueError
    if positions is not None:
        if not 0 <= min(numbers(positions, count)) <= max(positions) < limits.keys:
            raise ValueError
        if len(set(positions)) != count:
            raise ValueError
    if numbers(lives, count).count(FOREVER) < count and min(lives) < FOREVER:
        raise ValueError
    # Where all are values, as usual, this was all there is to check.
    if statuses.translate(None, _VALUES) or set(map(type, values)) != {bytes}:
        for status, value in zip(statuses, values, strict=True):
            if status <= FROM_LOADER:
                expected: tuple[type, ...] = (bytes,)
            elif status in _OLD_VALUES:
                expected = (bytes, type(None))
            else:
                expected = (str,) if status >= FIRST_ERROR else (type(None),)
            if type(value) not in expected:
                raise TypeError
    numbers_or_none(fields, 12, count)
    if len(fields) > 13 and fields[13] is not None:
        _tokens(fields[13], count)
    return Answer(*fields[: HEADER_FIELDS + 6])


def _column(fields: list[Any], at: int, kinds: set[type], count: int) -> list[Any]:
    column = fields[at]
    if type(column) is not list or len(column) != count or not set(map(type, column)) <= kinds:
        raise TypeError
    return column


def _read_members(fields: list[Any], limits: Limits) -> Members:
    count = len(fields[8])  # a wrong type raises TypeError, which is the point
    for at in (8, 9, 11, 12):
        _column(fields, at, {str}, count)
    # What no ring could be built from must not get as far as one; a NaN fails here too.
    if not all(0 < weight <= MAX_WEIGHT for weight in _column(fields, 10, {int, float}, count)):
        raise ValueError
    if len(fields) > HEADER_FIELDS + 6 and fields[13] is not None:
        groups = len(fields[13])
        _column(fields, 13, {str}, groups)
        if not all(copies > 0 for copies in _column(fields, 14, {int}, groups)):
            raise ValueError
        return Members(*fields[: HEADER_FIELDS + 7])
    return Members(*fields[: HEADER_FIELDS + 5])


def _read_figures(fields: list[Any], limits: Limits) -> Figures:
    count = len(fields[8])
    _column(fields, 8, {str}, count)
    _column(fields, 9, {int, float}, count)
    return Figures(*fields[: HEADER_FIELDS + 2])


def _read_explain(fields: list[Any], limits: Limits) -> Delete:
    if len(keys_at(fields, limits)) != 1:
        raise InvalidKey("one key is explained at a time")
    return Delete(*fields[: HEADER_FIELDS + 1])


def _read_explained(fields: list[Any], limits: Limits) -> Explained:
    columns, scalars = fields[8:14], fields[14:17]
    count = len(columns[0])
    for column in columns:
        if any(cell < UNKNOWN for cell in numbers(column, count)):
            raise ValueError
    if count:
        _tokens(fields[12], count)
    if min(numbers(scalars, 3)) < UNKNOWN:
        raise ValueError
    return Explained(*fields[: HEADER_FIELDS + 9])


def _read_refusal(fields: list[Any], limits: Limits) -> Refusal:
    code, message = fields[8:10]
    if type(code) is not int or type(message) is not str or len(message) > MAX_TEXT:
        raise TypeError
    return Refusal(*fields[: HEADER_FIELDS + 2])


READERS: Final[dict[int, Callable[[list[Any], Limits], Message]]] = {
    GET: _read_get,
    SET: _read_set,
    DELETE: _read_delete,
    **dict.fromkeys((USED, WATCH, UNWATCH), _read_delete),
    FOLLOWING: _read_following,
    NEWS: _read_news,
    **dict.fromkeys((ADD, TOUCH, INCR, CAS, GETS, FILL, PUT, RELEASE, COPY, OFFER), _read_changes),
    DIGESTS: _read_digests,
    CANCEL: _read_cancel,
    INVALIDATE: _read_invalidate,
    GENERATIONS: _read_generations,
    **dict.fromkeys((DOUBT, HANDED, MOMENT), _read_word),
    **dict.fromkeys((CLEAR, PING, TOPOLOGY, STATS, PONG, LEAVE), _read_query),
    ANSWER: _read_answer,
    MEMBERS: _read_members,
    FIGURES: _read_figures,
    EXPLAIN: _read_explain,
    EXPLAINED: _read_explained,
    REFUSAL: _read_refusal,
}
