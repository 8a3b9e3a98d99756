"""A relay in front of each node that knows one message from the next, and does wrong to what nodes tell one client of changes.

A seed drives it. Connections live through it all: what is lost, late, doubled or overtaken is one NEWS. What is held back is also what
a node says of how much it has told, or all that comes from it, as a network would have it that stands still for a while.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable

from faults.proxy import owner_of_port
from zmtp import Parser

from zmcache.core import wire
from zmcache.core.wire import BadFrame, Limits, News

Send = Callable[[], None]
Treat = Callable[[Send, News | None], None]


class NewsRelay:
    """``treat(send, news)`` is called for each message from a node to the process ``victim``; None: all of it goes on as it comes.

    ``news`` is None where it is an answer to a question other than how much was told.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.victim = 0
        self.treat: Treat | None = None
        self.done: Counter[str] = Counter()
        """What was done to how many messages."""
        self._held: list[Send] = []
        self._holds = False
        self._turning: asyncio.TimerHandle | None = None
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._limits = Limits()

    async def front(self, address: str) -> str:
        """Where whoever connects is brought to ``address``; both host:port. Whether anybody listens there may change."""

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._relay(address, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        self._servers.append(server)
        host, port = server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._turning is not None:
            self._turning.cancel()

    def relent(self) -> None:
        """Treat nothing any more. What was kept back goes on."""
        self.treat = None
        if self._turning is not None:
            self._turning.cancel()
        self._let_go(self._held)

    # -- ways to treat what comes from a node ----------------------------------------------------------------------

    def lose_some(self, send: Send, news: News | None) -> None:
        if is_told(news) and self._falls(0.02):
            self.done["lost"] += 1
        else:
            send()

    def lose_all(self, send: Send, news: News | None) -> None:
        if is_told(news):
            self.done["lost"] += 1
        else:
            send()

    def double(self, send: Send, news: News | None) -> None:
        send()
        if is_told(news) and self._falls(0.05):
            self.done["doubled"] += 1
            send()

    def delay(self, send: Send, news: News | None) -> None:
        """Some come later than a copy may be believed, long after those behind them."""
        if is_told(news) and self._falls(0.02):
            self.done["delayed"] += 1
            asyncio.get_running_loop().call_later(self.random.uniform(0.1, 4.0), send)
        else:
            send()

    def reorder(self, send: Send, news: News | None) -> None:
        """Some wait until one or two more have passed them."""
        if not is_told(news):
            send()
        elif self._held or self._falls(0.05):
            self._held.append(send)
            if len(self._held) > self.random.randint(1, 2):
                self.done["reordered"] += 1
                self._let_go(self._held[::-1])
        else:
            send()

    def hold_all(self, send: Send, news: News | None) -> None:
        """Nothing comes for a while that is longer than a copy may be believed; then everything does, in order."""
        if self._turning is None:
            self._turn_later()
        if self._holds:
            self.done["held back"] += 1
            self._held.append(send)
        else:
            send()

    def hold_news(self, send: Send, news: News | None) -> None:
        """The same of all that is said of changes. Gets are answered, and the node is seen to be well."""
        if news is None:
            send()
        else:
            self.hold_all(send, news)

    def _turn_later(self) -> None:
        seconds = self.random.uniform(3.0, 4.0) if self._holds else self.random.uniform(0.5, 1.5)
        self._turning = asyncio.get_running_loop().call_later(seconds, self._turn)

    def _turn(self) -> None:
        self._holds = not self._holds
        if not self._holds:
            self._let_go(self._held)
        self._turn_later()

    def _let_go(self, held: list[Send]) -> None:
        self._held = []
        for send in held:
            send()

    def _falls(self, chance: float) -> bool:
        return self.random.random() < chance

    # -- connections -----------------------------------------------------------------------------------------------

    async def _relay(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward: asyncio.StreamWriter | None = None
        is_victim = owner_of_port(writer.get_extra_info("peername")[1], {"victim": self.victim}) is not None
        try:
            back, onward = await asyncio.open_connection(*address.split(":"))
            ways = [
                asyncio.create_task(self._pass(reader, onward)),
                asyncio.create_task(self._tell(back, writer) if is_victim else self._pass(back, writer)),
            ]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except OSError:
            pass  # nobody listens there any more: who connected sees that the connection ends
        finally:
            for end in (writer, onward):
                if end is not None:
                    end.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = Parser()
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                for raw, body in parser.feed(chunk):
                    if self.treat is None or body is None:
                        writer.write(raw)
                    else:
                        self.treat(lambda raw=raw: writer.write(raw), self._news(body))  # type: ignore[misc]
                await writer.drain()

    def _news(self, body: bytes) -> News | None:
        try:
            message = wire.decode(body, self._limits)
        except BadFrame:
            return None
        return message if isinstance(message, News) else None


def is_told(news: News | None) -> bool:
    """Of the node's own accord: what answers a question has its number."""
    return news is not None and not news.request_id
