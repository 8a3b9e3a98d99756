"""What an answer's rows say and take: lives that never pass for another's, sizes that are never too small."""

from __future__ import annotations

import math

import pytest

from zmcache.core import wire
from zmcache.core.wire import FOREVER, ROW_OVERHEAD_BYTES
from zmcache.errors import LoaderFailed
from zmcache.node.rows import TEXT_BYTES, error_text, lives_ms, parts, rows_bytes


@pytest.mark.parametrize(
    ("expiries", "lives"),
    [
        ([12.5, 10.0004], [2500, 0]),
        ([math.inf, math.inf], [FOREVER, FOREVER]),
        ([11.0, math.inf, 10.0], [1000, FOREVER, 0]),
    ],
)
def test_a_life_is_what_remains_and_only_what_never_expires_lives_for_ever(
    expiries: list[float], lives: list[int]
) -> None:
    assert lives_ms(expiries, 10.0) == lives


def test_rows_are_never_taken_for_smaller_than_they_are_in_a_frame() -> None:
    long = error_text(LoaderFailed("\U0001f600" * 3000))
    for values in ([b"v" * 300] * 50, [b""] * 50, [long] * 50, [None] * 50, [b"v", long, None]):
        statuses = bytes(128 if isinstance(value, str) else 0 for value in values)
        row = [2**31] * len(values), statuses, values, [wire.MAX_TTL_MS] * len(values)
        frame = wire.encode(wire.Answer(*wire.header(wire.ANSWER, 1, (1, 1)), *row))
        assert len(frame) <= 64 + rows_bytes(values, all_found=False)
        if all(isinstance(value, bytes) for value in values):
            assert rows_bytes(values, all_found=True) == rows_bytes(values, all_found=False)


def test_an_errors_text_is_bounded_in_bytes_and_can_always_be_sent() -> None:
    for text in ("\U0001f600" * 3000, "e" * 3000, "\udcff no file", "short"):
        sent = error_text(LoaderFailed(text))
        assert len(sent.encode()) <= TEXT_BYTES
        assert sent


def test_parts_hold_every_row_once_and_in_order_and_no_more_than_the_room() -> None:
    values = [b"v" * size for size in (10, 900, 10, 500, 500, 2000, 10)]
    cut = [values[part] for part in parts(values, 1000)]
    assert [value for part in cut for value in part] == values
    for part in cut:
        assert len(part) == 1 or sum(len(value) + ROW_OVERHEAD_BYTES for value in part) <= 1000
    assert len(list(parts([b"v"] * 30, 1000))) == 1
