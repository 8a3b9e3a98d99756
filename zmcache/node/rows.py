"""The rows of a request and of an answer: what each asks for, how long it still lives, what it takes in a frame, which fit one message together.

Pure, and on the way of every hit, so what is usual runs at C speed over the whole column at once. Sizes are never too small: an answer
that they say fits is one that its reader's own limit lets in.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from typing import Final, TypeAlias

from zmcache.core.wire import COPY, DELETE, FOREVER, NONE_FLAG, ROW_OVERHEAD_BYTES, SET, Change, Changes, Delete, Set
from zmcache.errors import ZmcacheError

TEXT_BYTES: Final = 1024  # of an error's message

Values: TypeAlias = Sequence[bytes | str | None]
"""What stands in an answer for each of its positions: a value, the text of an error, or None."""


def changes_of(request: Set | Delete | Changes) -> Iterator[Change]:
    """What a request asks for each of its keys."""
    if isinstance(request, Delete):
        return (Change(DELETE, key) for key in request.keys)
    columns: list[Iterable[object]] = [request.keys, request.values, request.ttls_ms]
    if isinstance(request, Set):
        flags = request.value_flags or repeat(0)
        sets = (
            Change(SET, key, None if flag & NONE_FLAG else value, ttl_ms)
            for key, value, ttl_ms, flag in zip(*columns[:3], flags, strict=False)
        )
        if request.tags is None:
            return sets
        return (change._replace(tags=tags) for change, tags in zip(sets, request.tags, strict=True))
    kind = request.kind
    columns += [
        request.tokens,
        *(times or repeat(0) for times in (request.stale_ms, request.error_ms, request.took_ms)),
        request.fresh_ms or repeat(FOREVER),
        request.value_flags or repeat(0),
        request.tags or repeat(""),
        request.stamps or repeat(0) if kind == COPY else repeat(0),
    ]
    return (Change(kind, *row) for row in zip(*columns, strict=False))


def lives_ms(expiries: list[float], now_s: float) -> list[int]:
    """What remains until each expiry, none of which is past. About 0.08 us each."""
    if math.inf not in expiries:
        return [math.floor((expires_at_s - now_s) * 1000) for expires_at_s in expiries]
    if expiries.count(math.inf) == len(expiries):  # where some never expire it is usually all
        return [FOREVER] * len(expiries)
    return [FOREVER if e == math.inf else math.floor((e - now_s) * 1000) for e in expiries]


def rows_bytes(values: Values, *, all_found: bool) -> int:
    """At most what the rows take. About 0.02 us each where all were found, so that each is a value."""
    if all_found:
        return sum(map(len, values)) + ROW_OVERHEAD_BYTES * len(values)  # type: ignore[arg-type]  # no None among them
    return sum(map(_row_bytes, values))


def parts(values: Values, room_bytes: int) -> Iterator[slice]:
    """Consecutive rows that fit into ``room_bytes`` together; one that is larger by itself stands alone."""
    start = size = 0
    for row, value in enumerate(values):
        row_bytes = _row_bytes(value)
        if size and size + row_bytes > room_bytes:
            yield slice(start, row)
            start, size = row, 0
        size += row_bytes
    yield slice(start, None)


def error_text(error: ZmcacheError) -> str:
    """What an error says, in at most `TEXT_BYTES`, as it can be sent."""
    # What a loader raised may hold anything, lone surrogates from file names too, and those cannot be encoded.
    return str(error)[:TEXT_BYTES].encode(errors="replace")[:TEXT_BYTES].decode(errors="ignore")


def _row_bytes(value: bytes | str | None) -> int:
    size = len(value) if isinstance(value, bytes) else 0 if value is None else TEXT_BYTES
    return size + ROW_OVERHEAD_BYTES
