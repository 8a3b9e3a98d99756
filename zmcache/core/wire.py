"""The bytes between nodes and clients: frozen messages, and two pure functions that turn them into frames and back.

A frame is one msgpack array: a fixed header, then one level of parallel arrays of scalars. Each message below is a named
tuple whose fields stand in wire order, so that encoding is packing the tuple and the classes are the specification.

    header   version, kind, request_id, deadline_ms, revision, digest, flags, group
    GET      keys
    SET      keys, values, ttls_ms, value_flags, versions
    DELETE   keys
    PING, TOPOLOGY, STATS            the header alone
    ANSWER   positions, statuses, values, lives_ms, value_flags, versions
    MEMBERS  node_ids, endpoints, weights, zones, states
    FIGURES  names, figures
    PONG     the header alone
    REFUSAL  code, message

The deadline is what remains of it, in ms, since clocks of two machines have nothing to say to each other. ``revision`` and ``digest`` are the
sender's ring epoch. An ANSWER names the positions (in the request's keys) that it fills, None meaning all of them in order, so one request may be
answered by several: its hits at once and its misses as they come. ``statuses`` is one byte a position, see the constants. In
place of a value stands None for "no such key", or the text of an error.

Versions: one byte, major part times 16 plus minor part. Another major is refused. A newer minor may add fields at the end of any
message; they are ignored here, and what they carry must be safe to ignore.

Every limit is enforced in `decode`, before anything is kept. Bad bytes raise `BadFrame`, which carries the request id where it could
still be read, so that the sender can be told. `None` stands in ``value_flags`` and ``versions`` until something uses them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

import msgpack
import msgspec

from zmcache.errors import InvalidKey, InvalidTtl, InvalidValue, ProtocolError, RequestError, ValueTooLarge

MAJOR: Final = 1
MINOR: Final = 0
VERSION: Final = MAJOR * 16 + MINOR

GET: Final = 1
SET: Final = 2
DELETE: Final = 3
PING: Final = 4
TOPOLOGY: Final = 5
STATS: Final = 6
ANSWER: Final = 17
MEMBERS: Final = 18
FIGURES: Final = 19
PONG: Final = 20
REFUSAL: Final = 21

# Header flags.
FORWARDED: Final = 1  # request: a peer asks on behalf of its own caller; never to be forwarded again
NOT_OWNER: Final = 2  # answer: this node's ring gives some of these keys to another node

# Statuses, one byte a key. From 32 on it is the code of an error (see zmcache.errors).
FROM_OWNER: Final = 0  # the owner had it
FROM_HOT: Final = 1  # the node that was asked had a copy
FROM_LOADER: Final = 2  # it was loaded for this request, or for another that was under way
DONE: Final = 3  # set: stored; delete: it was there
NOT_THERE: Final = 4  # delete: it was not there
NO_SUCH_KEY: Final = 16
FIRST_ERROR: Final = 32

TTL_DEFAULT: Final = 0  # in ttls_ms: the group's own
FOREVER: Final = -1  # in ttls_ms and lives_ms: does not expire

MAX_DEADLINE_MS: Final = 24 * 3600 * 1000
MAX_TTL_MS: Final = 100 * 365 * 24 * 3600 * 1000
_MAX_TEXT: Final = 4096
_MAX_WEIGHT: Final = 1000.0  # a ring has points in proportion: one absurd number must not fill a reader's memory
_MAX_ROWS: Final = 4096  # rows of a MEMBERS or FIGURES message
_HEADER: Final = 8


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node takes in one message, and from one connection. The same limits hold for what it sends."""

    key_bytes: int = 1024
    value_bytes: int = 1024 * 1024
    keys: int = 1000
    message_bytes: int = 8 * 1024 * 1024
    inflight_bytes: int = 64 * 1024 * 1024
    inflight_requests: int = 10_000


class BadFrame(ProtocolError):
    """A frame that breaks a rule. ``request_id`` is None where not even that could be read."""

    def __init__(self, reason: str, *, request_id: int | None = None) -> None:
        super().__init__(reason)
        self.request_id = request_id


class Get(NamedTuple):
    """Ask for many keys of one group."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    keys: list[str]


class Set(NamedTuple):
    """Store many values. A ttl is in ms, `TTL_DEFAULT` or `FOREVER`."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    keys: list[str]
    values: list[bytes]
    ttls_ms: list[int]
    value_flags: list[int] | None = None
    versions: list[int] | None = None


class Delete(NamedTuple):
    """Delete many keys."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    keys: list[str]


class Query(NamedTuple):
    """PING, TOPOLOGY or STATS: a question with no arguments. PONG: the answer to the first."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str


class Answer(NamedTuple):
    """The answer to some or all keys of a GET, SET or DELETE. A life is in ms, or `FOREVER`."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    positions: list[int] | None
    statuses: bytes
    values: list[bytes | str | None]
    lives_ms: list[int]
    value_flags: list[int] | None = None
    versions: list[int] | None = None


class Members(NamedTuple):
    """The answer to TOPOLOGY: the ring as this node has it, in parallel arrays."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    node_ids: list[str]
    endpoints: list[str]
    weights: list[float]
    zones: list[str]
    states: list[str]


class Figures(NamedTuple):
    """The answer to STATS. ``group`` holds the id of the node that answers."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    names: list[str]
    figures: list[float]


class Refusal(NamedTuple):
    """The whole request failed; ``code`` and ``message`` as in zmcache.errors."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    code: int
    message: str


Request: TypeAlias = Get | Set | Delete | Query
Reply: TypeAlias = Answer | Members | Figures | Refusal | Query
Message: TypeAlias = Request | Reply

# One packer serves the process: pack() of plain data never lets another thread in half-way, and it empties itself after an error.
_pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack


def encode(message: Message) -> bytes:
    """The frame of a message. About 2 us for a GET of 64 keys. The caller has checked keys and values (`check_key`)."""
    return _pack(message)  # type: ignore[no-any-return]  # msgpack's own signature promises nothing


def decode(frame: bytes, limits: Limits) -> Message:
    """The message in a frame. Raises `BadFrame` for everything that this version would not send within these limits."""
    if len(frame) > limits.message_bytes:
        raise BadFrame(f"a message of {len(frame)} bytes, limit {limits.message_bytes}")
    try:
        fields = msgpack.unpackb(
            frame,
            max_array_len=_MAX_ROWS if limits.keys < _MAX_ROWS else limits.keys,
            max_map_len=0,
            max_ext_len=0,
            max_str_len=limits.message_bytes,
            max_bin_len=limits.message_bytes,
        )
    except Exception as exc:
        raise BadFrame(f"not a msgpack array of scalars: {exc or type(exc).__name__}") from exc
    if type(fields) is not list or len(fields) < _HEADER:
        raise BadFrame("not an array with a header")
    version, kind, request_id, deadline_ms, revision, digest, flags, group = fields[:_HEADER]
    if type(request_id) is not int or not 0 <= request_id < 1 << 63:
        raise BadFrame("a request id that is not a whole number")
    if type(version) is not int or version >> 4 != MAJOR:
        raise BadFrame(f"protocol version {_show(version)}, this node speaks {MAJOR}.x", request_id=request_id)
    if (
        type(deadline_ms) is not int
        or type(revision) is not int
        or type(digest) is not int
        or type(flags) is not int
        or type(group) is not str
        or not 0 <= deadline_ms <= MAX_DEADLINE_MS
        or not 0 <= revision < 1 << 63
        or not 0 <= digest < 1 << 64
    ):
        raise BadFrame("a header field of the wrong type or range", request_id=request_id)
    reader = _READERS.get(kind) if type(kind) is int else None
    if reader is None:
        raise BadFrame(f"unknown kind {_show(kind)}", request_id=request_id)
    try:
        message = reader(fields, limits)
        # Values of a SET are measured by its reader; those of an answer only where one could be too large at all.
        if kind == ANSWER and len(frame) > limits.value_bytes:
            _check_values(fields[10], limits.value_bytes)
        return message
    except (IndexError, TypeError, ValueError) as exc:
        raise BadFrame(f"kind {kind} with fields missing or of the wrong type", request_id=request_id) from exc
    except RequestError as exc:
        raise BadFrame(str(exc), request_id=request_id) from exc


def check_key(key: object, limit: int) -> None:
    """Raise `InvalidKey` unless ``key`` is text of 1 to ``limit`` UTF-8 bytes."""
    if type(key) is not str:
        raise InvalidKey(f"a key is text, not {type(key).__name__}")
    if not key:
        raise InvalidKey("a key is empty")
    if len(key) * 4 > limit:
        try:
            size = len(key.encode())
        except UnicodeEncodeError as exc:
            raise InvalidKey("a key is not valid Unicode text") from exc
        if size > limit:
            raise InvalidKey(f"a key of {size} bytes, limit {limit}")
    elif not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError as exc:
            raise InvalidKey("a key is not valid Unicode text") from exc


def check_value(value: object, limit: int) -> None:
    """Raise `InvalidValue` or `ValueTooLarge` unless ``value`` is at most ``limit`` bytes."""
    if type(value) is not bytes:
        raise InvalidValue(f"a value is bytes, not {type(value).__name__}")
    if len(value) > limit:
        raise ValueTooLarge(size=len(value), limit=limit)


def _check_values(values: list[bytes | str | None], limit: int) -> None:
    for value in values:
        if type(value) is bytes:
            check_value(value, limit)


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."


def _keys(fields: list[Any], limits: Limits) -> list[str]:
    keys = fields[_HEADER]
    if type(keys) is not list:
        raise TypeError
    if not 0 < len(keys) <= limits.keys:
        raise InvalidKey(f"{len(keys)} keys in one message, limit {limits.keys}")
    # The usual case at C speed: joining proves that all are text, and a short whole proves that each part is short
    # (in characters; only where all are ASCII are these the bytes that the limit counts).
    whole = "".join(keys)
    if len(whole) > limits.key_bytes or not whole.isascii() or "" in keys:
        for key in keys:
            if not key or (len(key) * 4 > limits.key_bytes and len(key.encode()) > limits.key_bytes):
                check_key(key, limits.key_bytes)
    return keys


def _numbers(field: object, count: int) -> list[int]:
    if type(field) is not list or len(field) != count or not set(map(type, field)) <= {int}:
        raise TypeError
    return field


def _maybe_numbers(fields: list[Any], at: int, count: int) -> list[int] | None:
    field = fields[at] if at < len(fields) else None
    return None if field is None else _numbers(field, count)


def _read_get(fields: list[Any], limits: Limits) -> Get:
    _keys(fields, limits)
    return Get(*fields[: _HEADER + 1])


def _read_delete(fields: list[Any], limits: Limits) -> Delete:
    _keys(fields, limits)
    return Delete(*fields[: _HEADER + 1])


def _read_set(fields: list[Any], limits: Limits) -> Set:
    count = len(_keys(fields, limits))
    values, ttls = fields[9], fields[10]
    if type(values) is not list or len(values) != count:
        raise TypeError
    for value in values:
        check_value(value, limits.value_bytes)
    for ttl in _numbers(ttls, count):
        if not FOREVER <= ttl <= MAX_TTL_MS:
            raise InvalidTtl(f"an expiry of {ttl} ms")
    _maybe_numbers(fields, 11, count)
    _maybe_numbers(fields, 12, count)
    return Set(*fields[: _HEADER + 5])


def _read_query(fields: list[Any], limits: Limits) -> Query:
    return Query(*fields[:_HEADER])


def _read_answer(fields: list[Any], limits: Limits) -> Answer:
    positions, statuses, values, lives = fields[8:12]
    if type(statuses) is not bytes or type(values) is not list:
        raise TypeError
    count = len(statuses)
    if not 0 < count <= limits.keys or len(values) != count:
        raise ValueError
    if positions is not None:
        if not 0 <= min(_numbers(positions, count)) <= max(positions) < limits.keys:
            raise ValueError
        if len(set(positions)) != count:
            raise ValueError
    if min(_numbers(lives, count)) < FOREVER:
        raise ValueError
    # Where all are values, as usual, this was all there is to check.
    if max(statuses) > FROM_LOADER or set(map(type, values)) != {bytes}:
        for status, value in zip(statuses, values, strict=True):
            if status <= FROM_LOADER:
                expected: type = bytes
            else:
                expected = str if status >= FIRST_ERROR else type(None)
            if type(value) is not expected:
                raise TypeError
    _maybe_numbers(fields, 12, count)
    _maybe_numbers(fields, 13, count)
    return Answer(*fields[: _HEADER + 6])


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
    if not all(0 < weight <= _MAX_WEIGHT for weight in _column(fields, 10, {int, float}, count)):
        raise ValueError
    return Members(*fields[: _HEADER + 5])


def _read_figures(fields: list[Any], limits: Limits) -> Figures:
    count = len(fields[8])
    _column(fields, 8, {str}, count)
    _column(fields, 9, {int, float}, count)
    return Figures(*fields[: _HEADER + 2])


def _read_refusal(fields: list[Any], limits: Limits) -> Refusal:
    code, message = fields[8:10]
    if type(code) is not int or type(message) is not str or len(message) > _MAX_TEXT:
        raise TypeError
    return Refusal(*fields[: _HEADER + 2])


_READERS: Final[dict[int, Callable[[list[Any], Limits], Message]]] = {
    GET: _read_get,
    SET: _read_set,
    DELETE: _read_delete,
    PING: _read_query,
    TOPOLOGY: _read_query,
    STATS: _read_query,
    PONG: _read_query,
    ANSWER: _read_answer,
    MEMBERS: _read_members,
    FIGURES: _read_figures,
    REFUSAL: _read_refusal,
}
