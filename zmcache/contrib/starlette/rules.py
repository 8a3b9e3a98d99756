"""Which requests are answered from the cache, which responses are kept, and what a page is known by. All of it is pure.

A shared cache must not hand one visitor's page to another. So what may be personal goes past it: requests with credentials, responses with a
cookie, and those that vary by what the key does not hold. Host and scheme are part of the key: an application that writes its own address into
its pages would otherwise write what somebody else has claimed it to be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from typing import Final

import msgspec
from starlette.routing import compile_path
from starlette.types import Message, Scope

from zmcache.contrib.starlette.kept import Headers, value_of

_CREDENTIALS: Final = (b"authorization", b"cookie")
# The application is to render the whole page, whatever this visitor has of it already.
_CONDITIONS: Final = frozenset(b"if-none-match if-modified-since if-match if-unmodified-since if-range".split())
# The readable part of a key; a key has 1,024 bytes, and a character up to four.
_PATH_CHARACTERS: Final = 200


class Rules:
    """Those of one middleware."""

    def __init__(
        self,
        paths: Iterable[str] | None,
        vary: Iterable[str],
        ignore: Iterable[str],
        statuses: Collection[int],
        max_body: int,
    ) -> None:
        self._paths = None if paths is None else [compile_path(path)[0] for path in paths]
        self.vary = sorted({name.lower().encode() for name in vary})
        self._taken_off = {name.lower().encode() for name in ignore} - {*self.vary}
        self._private = [name for name in _CREDENTIALS if name not in self.vary and name not in self._taken_off]
        self._statuses = frozenset(statuses)
        self.max_body = max_body

    def may_answer(self, scope: Scope) -> bool:
        """Whether this request may be answered with what others were, and others with what this one is."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return False
        if self._paths is not None:
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if not any(wanted.match(path) for wanted in self._paths):
                return False
        headers = scope["headers"]
        given = {name for name, _ in headers}
        return (
            given.isdisjoint(self._private)
            and b"range" not in given
            and b"transfer-encoding" not in given
            and value_of(headers, b"content-length") in (None, b"0")
            and "no-store" not in _directives(headers)
        )

    def key(self, scope: Scope) -> str:
        """What the page is known by: begins with its path, to be read, and ends with a hash of all that it may depend on."""
        headers = scope["headers"]
        what = [
            scope.get("scheme", "http"),
            value_of(headers, b"host"),
            scope.get("raw_path") or scope["path"],
            scope.get("root_path", ""),
            scope["query_string"],
            [(name, value_of(headers, name)) for name in self.vary],
        ]
        digest = hashlib.sha256(msgspec.msgpack.encode(what)).hexdigest()
        return f"{scope['path'][:_PATH_CHARACTERS]} {digest}"

    def rendered(self, scope: Scope) -> Scope:
        """The request as the application is given it: a whole GET, without the headers that pages are not to depend on."""
        off = _CONDITIONS | self._taken_off
        headers = [(name, value) for name, value in scope["headers"] if name not in off]
        # Without the server's extensions, all of a response comes as messages.
        return {**scope, "method": "GET", "headers": headers, "extensions": {}}

    def may_keep(self, start: Message) -> bool:
        """Whether a response that begins so may be given to others, and is one to be kept."""
        headers: Headers = [(name.lower(), value) for name, value in start.get("headers", ())]
        if start["status"] not in self._statuses or value_of(headers, b"set-cookie") is not None:
            return False
        if (value_of(headers, b"content-type") or b"").startswith(b"text/event-stream"):
            return False
        length = value_of(headers, b"content-length")
        if length is not None and length.isdigit() and int(length) > self.max_body:
            return False
        varies = {name.strip().lower() for name in (value_of(headers, b"vary") or b"").split(b",")} - {b""}
        if not varies <= {*self.vary, *self._taken_off}:
            return False
        said = _directives(headers)
        lives = said.get("s-maxage", said.get("max-age"))
        return said.keys().isdisjoint(("no-store", "private", "no-cache")) and lives != "0"


def _directives(headers: Headers) -> dict[str, str]:
    """What Cache-Control says."""
    value = (value_of(headers, b"cache-control") or b"").decode("latin-1").lower()
    said = (part.partition("=") for part in value.split(","))
    return {name.strip(): argument.strip().strip('"') for name, _, argument in said if name.strip()}
