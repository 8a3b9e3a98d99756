"""The bytes between nodes and clients: two pure functions that turn messages into frames and back.

A frame is one msgpack array and behind it the xxh3-64 of its bytes: what is garbled on the way past the network's own checksums is nobody's
value. The array is a fixed header, then one level of parallel arrays of scalars. The messages are `zmcache.core.messages`, what may stand
in each is checked by `zmcache.core.readers`; both are to be had from here.

    header   version, kind, request_id, deadline_ms, revision, digest, flags, group
    GET      keys, trace, kept
    SET      keys, values, ttls_ms, value_flags, versions, tags
    DELETE   keys
    ADD, TOUCH, INCR, CAS, GETS, FILL, PUT, RELEASE, COPY, OFFER
             keys, values, ttls_ms, tokens, stale_ms, error_ms, took_ms, trace, fresh_ms, value_flags, tags, stamps
    INVALIDATE  tags, versions, floor
    USED, WATCH, UNWATCH, EXPLAIN     keys
    FOLLOWING  incarnation, seen
    NEWS     incarnation, number, keys, values, lives_ms, versions, value_flags, skipped
    DIGESTS, GENERATIONS  digests, sender
    CANCEL   positions
    DOUBT, HANDED, MOMENT  number
    PING, TOPOLOGY, STATS, CLEAR, LEAVE     the header alone
    ANSWER   positions, statuses, values, lives_ms, value_flags, versions
    MEMBERS  node_ids, endpoints, weights, zones, states
    FIGURES  names, figures
    EXPLAINED  places, ages_ms, lives_ms, kept_ms, versions, sizes, missed, missed_ago_ms, took_us
    PONG     the header alone
    REFUSAL  code, message

The deadline is what remains of it, in ms, since clocks of two machines have nothing to say to each other. ``revision`` and ``digest`` are the
sender's ring epoch. An ANSWER names the positions (in the request's keys) that it fills, None meaning all of them in order, so one request may be
answered by several: its hits at once and its misses as they come. ``statuses`` is one byte a position, see the constants. In
place of a value stands None for "no such key", or the text of an error. ``trace`` is a W3C traceparent or None.

Versions: one byte, major part times 16 plus minor part. Another major is refused. A newer minor may add fields at the end of any
message; they are ignored here, and what they carry must be safe to ignore.

Every limit is enforced by `decode`, before anything is kept. Bad bytes raise `BadFrame`, which carries the request id where it could
still be read, so that the sender can be told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgpack
import xxhash

from zmcache.core.fields import check_key, check_value, check_values
from zmcache.core.holding import BUCKETS
from zmcache.core.messages import (
    Answer,
    BadFrame,
    Cancel,
    Change,
    Changes,
    Delete,
    Digests,
    Explained,
    Figures,
    Following,
    Get,
    Header,
    Invalidate,
    Limits,
    Members,
    Message,
    News,
    Query,
    Refusal,
    Reply,
    Request,
    Set,
    Word,
    header,
    room_for_value,
)
from zmcache.core.numbers import (
    ADD,
    ALL_KEYS,
    ANEW,
    ANSWER,
    CANCEL,
    CAS,
    CLEAR,
    COPY,
    DELETE,
    DIGESTS,
    DONE,
    DOUBT,
    DUE,
    EXPLAIN,
    EXPLAINED,
    FIGURES,
    FILL,
    FILLING,
    FILLS,
    FIRST_ERROR,
    FOLLOWING,
    FOREVER,
    FORWARDED,
    FROM_HOT,
    FROM_LOADER,
    FROM_OWNER,
    GENERATIONS,
    GET,
    GETS,
    GONE_FLAG,
    HANDED,
    HEADER_FIELDS,
    INCR,
    INVALIDATE,
    IS_NONE,
    KEEPS,
    KEPT,
    LAST,
    LEASED,
    LEASED_NONE,
    LEAVE,
    LOST,
    MAJOR,
    MAX_DEADLINE_MS,
    MAX_ROWS,
    MAX_TTL_MS,
    MEMBERS,
    MINOR,
    MOMENT,
    NEWS,
    NO_SUCH_KEY,
    NONE_FLAG,
    NOT_OWNER,
    NOT_THERE,
    OFFER,
    OLD_FLAG,
    ONCE_ONLY,
    PEEK,
    PING,
    PONG,
    PUT,
    REFUSAL,
    RELEASE,
    ROW_OVERHEAD_BYTES,
    SET,
    STALE,
    STATS,
    TAGS_FLAG,
    TOPOLOGY,
    TOUCH,
    TTL_DEFAULT,
    UNKNOWN,
    UNWATCH,
    USED,
    VERSION,
    WATCH,
)
from zmcache.core.readers import READERS
from zmcache.errors import RequestError

__all__ = [
    "ADD",
    "ALL_KEYS",
    "ANEW",
    "ANSWER",
    "CANCEL",
    "CAS",
    "CLEAR",
    "COPY",
    "DELETE",
    "DIGESTS",
    "DONE",
    "DOUBT",
    "DUE",
    "EXPLAIN",
    "EXPLAINED",
    "FIGURES",
    "FILL",
    "FILLING",
    "FILLS",
    "FIRST_ERROR",
    "FOLLOWING",
    "FOREVER",
    "FORWARDED",
    "FROM_HOT",
    "FROM_LOADER",
    "FROM_OWNER",
    "GENERATIONS",
    "GET",
    "GETS",
    "GONE_FLAG",
    "HANDED",
    "INCR",
    "INVALIDATE",
    "IS_NONE",
    "KEEPS",
    "KEPT",
    "LAST",
    "LEASED",
    "LEASED_NONE",
    "LEAVE",
    "LOST",
    "MAJOR",
    "MAX_DEADLINE_MS",
    "MAX_TTL_MS",
    "MEMBERS",
    "MINOR",
    "MOMENT",
    "NEWS",
    "NONE_FLAG",
    "NOT_OWNER",
    "NOT_THERE",
    "NO_SUCH_KEY",
    "OFFER",
    "OLD_FLAG",
    "ONCE_ONLY",
    "PEEK",
    "PING",
    "PONG",
    "PUT",
    "REFUSAL",
    "RELEASE",
    "ROW_OVERHEAD_BYTES",
    "SEAL_BYTES",
    "SET",
    "STALE",
    "STATS",
    "TAGS_FLAG",
    "TOPOLOGY",
    "TOUCH",
    "TTL_DEFAULT",
    "UNKNOWN",
    "UNWATCH",
    "USED",
    "VERSION",
    "WATCH",
    "Answer",
    "BadFrame",
    "Cancel",
    "Change",
    "Changes",
    "Delete",
    "Digests",
    "Explained",
    "Figures",
    "Following",
    "Get",
    "Header",
    "Invalidate",
    "Limits",
    "Members",
    "Message",
    "News",
    "Query",
    "Refusal",
    "Reply",
    "Request",
    "Set",
    "Word",
    "check_key",
    "check_value",
    "decode",
    "encode",
    "header",
    "room_for_value",
    "sealed",
]

SEAL_BYTES: Final = 8
_NESTS_BYTES: Final = 16_384
_LISTS_MAX: Final = 16  # the message itself and a column for each of its fields

# One packer serves the process: pack() of plain data never lets another thread in half-way, and it empties itself after an error.
_pack = msgpack.Packer(autoreset=True, use_bin_type=True).pack
_unpack = msgpack.unpackb  # which takes no text and no bytes for longer than all that it was given


def encode(message: Message) -> bytes:
    """The frame of a message. About 2 us for a GET of 64 keys. The caller has checked keys and values (`check_key`)."""
    return sealed(_pack(message))


def sealed(array: bytes) -> bytes:
    """A frame of these bytes. About 0.2 us, and 0.1 for each KiB."""
    return array + xxhash.xxh3_64_digest(array)


def decode(frame: bytes, limits: Limits) -> Message:
    """The message in a frame. Raises `BadFrame` for everything that this version would not send within these limits."""
    if len(frame) > limits.message_bytes:
        raise BadFrame(f"a message of {len(frame)} bytes, limit {limits.message_bytes}")
    # A view is dearer than a copy of what is small, which cannot hold enough lists to stand in the way, either.
    is_small = len(frame) <= _NESTS_BYTES
    array = frame[:-SEAL_BYTES] if is_small else memoryview(frame)[:-SEAL_BYTES]
    if xxhash.xxh3_64_digest(array) != frame[-SEAL_BYTES:]:
        raise BadFrame("bytes that are not as they were sent, or no frame at all")
    try:
        # By the frame too: an array is allocated when its length is read, and arrays that only claim to be long can be nested.
        longest = max(limits.keys, BUCKETS, min(MAX_ROWS, len(frame) // 2))
        if is_small:
            fields = _unpack(array, max_array_len=longest, max_map_len=0, max_ext_len=0)
        else:
            fields = _unpack(array, max_array_len=longest, max_map_len=0, max_ext_len=0, **_refusing_nests())
    except Exception as exc:
        raise BadFrame(f"not a msgpack array of scalars: {exc or type(exc).__name__}") from exc
    if type(fields) is not list or len(fields) < HEADER_FIELDS:
        raise BadFrame("not an array with a header")
    version, kind, request_id, deadline_ms, revision, digest, flags, group = fields[:HEADER_FIELDS]
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
    reader = READERS.get(kind) if type(kind) is int else None
    if reader is None:
        raise BadFrame(f"unknown kind {_show(kind)}", request_id=request_id)
    try:
        message = reader(fields, limits)
        # Values of a SET are measured by its reader; those of an answer only where one could be too large at all.
        if kind == ANSWER and len(frame) > limits.value_bytes:
            check_values(fields[10], limits.value_bytes)
        return message
    except (IndexError, TypeError, ValueError) as exc:
        raise BadFrame(f"kind {kind} with fields missing or of the wrong type", request_id=request_id) from exc
    except RequestError as exc:
        raise BadFrame(str(exc), request_id=request_id) from exc


def _refusing_nests() -> dict[str, Callable[[Any], object]]:
    """What keeps a frame from holding millions of lists and maps, each of them empty: a second's work for the loop."""
    left = iter(range(_LISTS_MAX))

    def count_list(found: list[Any]) -> list[Any]:
        if next(left, None) is None:
            raise ValueError(f"more than {_LISTS_MAX} lists")
        return found

    def refuse_map(found: object) -> object:
        raise ValueError("a map")

    return {"list_hook": count_list, "object_hook": refuse_map}


def _show(value: object) -> str:
    if type(value) is list:
        return "a list"  # which may be nested deeper than `repr` goes
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."
