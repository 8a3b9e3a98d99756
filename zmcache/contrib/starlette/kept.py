"""A response as it is kept, and the answers that it gives (RFC 9110, RFC 9111)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from starlette.types import Message

Headers = Sequence[tuple[bytes, bytes]]

# Of one connection, or of one answer: whoever sends it adds its own.
_NOT_KEPT: Final = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade content-length date server age".split()
)
# RFC 9110, 15.4.5: what a 304 repeats.
_IN_304: Final = frozenset(b"cache-control content-location etag expires vary".split())
_TAG: Final = re.compile(rb'(?:W/)?("[^"]*")')


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """``made_s`` is by the wall clock of who made it: others tell its age by theirs."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    made_s: float

    def answer(self, *, head: bool, if_none_match: bytes | None, now_s: float | None) -> tuple[Message, Message]:
        """What to send. ``now_s``: None where it was made for this request, and so has no age."""
        headers, body, status = list(self.headers), self.body, self.status
        if 200 <= status < 300 and if_none_match is not None and _matches(if_none_match, value_of(headers, b"etag")):
            status, body = 304, b""
            headers = [(name, value) for name, value in headers if name in _IN_304]
        else:
            headers.append((b"content-length", b"%d" % len(body)))
        if now_s is not None:
            headers.append((b"age", b"%d" % max(0, int(now_s - self.made_s))))
        start = {"type": "http.response.start", "status": status, "headers": headers}
        return start, {"type": "http.response.body", "body": b"" if head else body}


def keep(status: int, headers: Headers, body: bytes, vary: Iterable[bytes], made_s: float) -> Kept:
    """A response of the application's. It is given a strong ETag, unless it has one, and says by what it varies."""
    lasting = [(name.lower(), value) for name, value in headers if name.lower() not in _NOT_KEPT]
    if value_of(lasting, b"etag") is None:
        lasting.append((b"etag", b'"%s"' % hashlib.sha256(body).hexdigest()[:32].encode()))
    said = {part.strip().lower() for part in (value_of(lasting, b"vary") or b"").split(b",")}
    lasting += [(b"vary", name) for name in vary if name not in said]
    return Kept(status, lasting, body, made_s)


def value_of(headers: Headers, wanted: bytes) -> bytes | None:
    """All values of that name, as one; None where there is none. ``wanted`` is in lower case."""
    values = [value for name, value in headers if name.lower() == wanted]
    return b", ".join(values) if values else None


def _matches(if_none_match: bytes, etag: bytes | None) -> bool:
    """By the weak comparison, as RFC 9110 (13.1.2) has it for GET and HEAD."""
    if etag is None:
        return False
    if if_none_match.strip() == b"*":
        return True
    return etag.removeprefix(b"W/") in _TAG.findall(if_none_match)
