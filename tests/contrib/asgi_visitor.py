"""Asking an application as a server does, in this process: its lifespan is run, and each request is a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from starlette.applications import Starlette


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    parts: int


class Visitor:
    def __init__(self, app: Starlette, state: dict[str, Any]) -> None:
        self._app, self.state = app, state

    async def __call__(
        self,
        path: str,
        method: str = "GET",
        *,
        on_part: Callable[[bytes], object] = lambda part: None,
        gone: asyncio.Event | None = None,
        body: bytes = b"",
        **headers: str,
    ) -> Answer:
        """``headers`` by their names with ``_`` for ``-``. ``gone``: when the visitor hangs up."""
        path, _, query = path.partition("?")
        given = {"host": "shop.example", **headers}
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "scheme": "http", "root_path": "",
            "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": dict(self.state), "extensions": {},
        }  # fmt: skip
        asked: list[bytes] = [body]
        messages: list[Any] = []

        async def receive() -> dict[str, Any]:
            if asked:
                return {"type": "http.request", "body": asked.pop(), "more_body": False}
            await (gone or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            messages.append(message)
            if message["type"] == "http.response.body":
                on_part(message.get("body", b""))

        await self._app(scope, receive, send)
        start, *parts = messages
        assert start["type"] == "http.response.start"
        assert {part["type"] for part in parts} == {"http.response.body"}
        assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
        headers_given = {name.decode().lower(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], headers_given, b"".join(part.get("body", b"") for part in parts), len(parts))


@contextlib.asynccontextmanager
async def visiting(app: Starlette) -> AsyncIterator[Visitor]:
    async with app.router.lifespan_context(app) as state:
        yield Visitor(app, dict(state or {}))
