"""What passes a relay that knows messages is what would have passed without it, however it is cut into pieces."""

from __future__ import annotations

import pytest
from zmtp import GREETING_BYTES, Parser

GREETING = bytes(range(GREETING_BYTES))
READY = b"\x04\x05ready"
LONG = b"\x02" + (300).to_bytes(8, "big") + bytes(300)
STREAM = GREETING + READY + b"\x00\x03one" + b"\x01\x01a" + b"\x04\x01p" + b"\x00\x01b" + LONG + b"\x00\x00"


@pytest.mark.parametrize("size", [1, 2, 7, 64, 1000])
def test_messages_are_found_and_nothing_is_lost_or_added(size: int) -> None:
    parser = Parser()
    parts = [part for at in range(0, len(STREAM), size) for part in parser.feed(STREAM[at : at + size])]
    assert b"".join(part.raw for part in parts) == STREAM
    # No command, and nothing of a message of several frames, even around a command between them.
    assert [part.body for part in parts if part.body is not None] == [b"one", bytes(300), b""]
