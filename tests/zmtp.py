"""The bytes of a ZeroMQ connection as what they carry: greeting, commands, messages (ZMTP 3, RFC 23). Pure: bytes in, parts out.

A relay of bytes can do no wrong to one message without breaking the connection; one that knows where each ends can.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

GREETING_BYTES: Final = 64
_MORE, _LONG, _COMMAND = 1, 2, 4


class Part(NamedTuple):
    """``raw`` is as it came. ``body`` is None where it is no message of one frame: greeting, command, one frame of several."""

    raw: bytes
    body: bytes | None


class Parser:
    """One direction of one connection."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._greeting = GREETING_BYTES
        self._in_several = False

    def feed(self, data: bytes) -> Iterator[Part]:
        """What is whole by now; the rest waits for more."""
        self._held += data
        if self._greeting and self._held:
            # It goes in pieces, each side waiting for some of the other's.
            size = min(self._greeting, len(self._held))
            self._greeting -= size
            yield Part(self._take(size), None)
        while not self._greeting and len(self._held) >= 2:
            flags = self._held[0]
            head = 9 if flags & _LONG else 2
            if len(self._held) < head:
                return
            size = head + int.from_bytes(self._held[1:head], "big")
            if len(self._held) < size:
                return
            raw = self._take(size)
            whole = not flags & (_COMMAND | _MORE) and not self._in_several
            if not flags & _COMMAND:
                self._in_several = bool(flags & _MORE)
            yield Part(raw, raw[head:] if whole else None)

    def _take(self, size: int) -> bytes:
        raw = bytes(self._held[:size])
        del self._held[:size]
        return raw
