"""One run of the application for a page that is missing.

What may be kept is recorded, and handed over when it is whole. Where it turns out that it may not, what there is so far is passed through to the
visitor whose request this is, and all that follows as it comes; others are told so at once, and run the application themselves.

The application runs in a task of its own: who waits for the page may be many, or nobody any more, and what is passed through outlasts that.
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zmcache.contrib.starlette.kept import Kept, keep
from zmcache.contrib.starlette.rules import Rules

# An event loop itself does not hold on to its tasks.
_running: Final[set[asyncio.Task[None]]] = set()


class NotKept(Exception):
    """A response that is not for others. ``rendering`` has it."""

    def __init__(self, rendering: Rendering) -> None:
        super().__init__("a response that is not to be kept")
        self.rendering = rendering


class Rendering:
    """See the module's docstring."""

    def __init__(self, app: ASGIApp, rules: Rules, scope: Scope, receive: Receive, send: Send) -> None:
        self._app, self._rules, self._scope = app, rules, scope
        self._receive_outside, self._send_outside = receive, send
        self.has_visitor = True
        """Whether the request that this was made for still waits. To a page that is refreshed in the background nobody listens."""
        self._task: asyncio.Task[None] | None = None
        self._whole: asyncio.Future[Kept] | None = None
        self._passes = asyncio.Event()
        self._has_asked = False
        self._start: Message | None = None
        self._parts: list[bytes] = []
        self._size = 0

    async def page(self) -> Kept:
        """Render it. Raises `NotKept` as soon as that is known, and what the application raises."""
        self._whole = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._run(), name="zmcache page")
        # It outlives its page: an application may have tasks for the time after its response.
        _running.add(self._task)
        self._task.add_done_callback(_running.discard)
        try:
            return await self._whole
        except asyncio.CancelledError:
            self._task.cancel()
            raise

    async def passed(self) -> None:
        """Return when all has been passed through. Raises what the application raises."""
        assert self._task is not None
        try:
            await self._task
        finally:
            self._task.cancel()

    async def _run(self) -> None:
        assert self._whole is not None
        try:
            await self._app(self._rules.rendered(self._scope), self._receive, self._send)
        except BaseException as error:
            if not self._whole.done():
                self._whole.set_exception(error)
            elif not isinstance(error, NotKept):
                raise
        else:
            if not self._whole.done():
                self._whole.set_exception(RuntimeError("the application ended before its response did"))

    async def _receive(self) -> Message:
        if not self._has_asked:
            self._has_asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        # That one visitor has gone is nothing to the others, unless the response is for that one alone.
        await self._passes.wait()
        return await self._receive_outside()

    async def _send(self, message: Message) -> None:
        if self._passes.is_set():
            await self._pass(message)
        elif message["type"] == "http.response.start":
            self._start = message
            if not self._rules.may_keep(message):
                await self._begin_passing()
        elif message["type"] == "http.response.body":
            self._parts.append(message.get("body", b""))
            self._size += len(self._parts[-1])
            if self._size > self._rules.max_body:
                await self._begin_passing(more=message.get("more_body", False))
            elif not message.get("more_body", False):
                self._end()

    def _end(self) -> None:
        assert self._start is not None
        assert self._whole is not None
        if not self._whole.done():
            headers = self._start.get("headers", ())
            body = b"".join(self._parts)
            self._whole.set_result(keep(self._start["status"], headers, body, self._rules.vary, time.time()))

    async def _begin_passing(self, *, more: bool = True) -> None:
        assert self._start is not None
        assert self._whole is not None
        self._passes.set()
        if not self._whole.done():
            self._whole.set_exception(NotKept(self))
        await self._pass(self._start)
        if self._parts:
            await self._pass({"type": "http.response.body", "body": b"".join(self._parts), "more_body": more})
            self._parts.clear()

    async def _pass(self, message: Message) -> None:
        if not self.has_visitor:
            raise NotKept(self)  # nobody listens, so the application need not go on
        if self._scope["method"] == "HEAD" and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send_outside(message)
