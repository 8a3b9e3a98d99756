"""Many keys of one call and one channel, asked for as one thing: a flight of its own kind.

A get of one key needs a future, a flight and a place in a batch. A ``get_many`` would need all of these for each key, and they
would cost more than the asking. Here its keys for one channel share one future and one message.

Others who want one of them may still join: for them each key stands for the whole in the table of flights. It is put there only when somebody
looks who would find it, or when many bulks are under way, for that costs as much as checking the keys; most bulks are answered before.

That holds for as long as all goes as it usually does, which is one answer that has every key. Whatever else comes, the first piece
of an answer that comes in pieces, an error, a node that is gone, the bulk *splits*: an ordinary flight for each key takes its place,
in the table and in the batch, and who has been waiting goes on waiting for these. So nothing that is difficult is written twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import repeat
from typing import Any, Final, Protocol, TypeAlias

from zmcache.cache.raw import Row
from zmcache.core.wire import FROM_HOT, FROM_LOADER, FROM_OWNER, IS_NONE, Answer
from zmcache.errors import ZmcacheError
from zmcache.peers.batch import Batch, Consumer

# With fewer keys for a channel, sharing a message with all else that is asked in the same turn is worth more.
LEAST: Final = 16
# So many may be under way without standing in the table. What these have in common is asked for by each of them; the bulks of more callers than
# that share it, so that a thousand who ask for the same hundred keys do not have a hundred thousand in flight.
UNLISTED_MOST: Final = 16

_VALUES: Final = bytes((FROM_OWNER, FROM_HOT, FROM_LOADER))  # beside these statuses stands a value

Flight: TypeAlias = list[Any]  # [key, batch, future, deadline, future, deadline, ...]


class BulkConsumer(Consumer, Protocol):
    """Whose keys they are."""

    def on_whole(self, batch: Batch, answer: Answer) -> None:
        """All have been answered at once. Told before those who wait."""


class Bulk:
    """The consumer of its ``batch`` until it splits; then ``consumer`` is, and ``futures`` has one for each key."""

    __slots__ = ("_consumer", "_deadline_s", "_joined", "_table", "_unlisted", "batch", "future", "futures", "keys")

    def __init__(
        self,
        keys: list[str],
        table: dict[str, Flight | Bulk],
        unlisted: dict[Bulk, None],
        consumer: BulkConsumer,
        future: asyncio.Future[Answer | None],
    ) -> None:
        """It stands in ``unlisted`` while none of its keys does in ``table``. ``future`` gives the answer, or None when this has split."""
        self.keys = keys
        self.future = future
        self.futures: list[asyncio.Future[Row]] = []
        self._table = table
        self._unlisted = unlisted
        self._consumer = consumer
        self._joined: dict[str, Flight] = {}
        self._deadline_s = 0.0

    def ask(self, batch: Batch, deadline_s: float) -> None:
        """Let this batch, which has no keys yet, ask for all of them."""
        self._deadline_s = deadline_s
        self.batch = batch
        self._unlisted[self] = None
        batch.fill_up(self.keys, deadline_s)

    def enter_table(self) -> None:
        """Put its keys into the table, but for those that something stands for there already."""
        del self._unlisted[self]
        deque(map(self._table.setdefault, self.keys, repeat(self)), maxlen=0)  # a loop, in C

    def join(self, key: str, future: asyncio.Future[Row], deadline_s: float) -> None:
        """One more who waits for one of the keys."""
        self._joined.setdefault(key, []).extend((future, deadline_s))

    def forgo(self) -> None:
        """The call was cancelled. Unless others have joined, or it has split, the node is told."""
        if not self._joined and not self.futures and self.batch.unanswered:
            # The answer may be under way already.
            self._leave()
            self.batch.sinks = [self] * len(self.keys)
            self.batch.channel.forgo(self.batch, self)

    def on_answer(self, batch: Batch, answer: Answer) -> None:
        """From the channel."""
        if not batch.is_whole(answer):
            self._split(batch)
            self._consumer.on_answer(batch, answer)
            return
        batch.unanswered = 0
        batch.consumer = self._consumer  # or each would keep the other until a full collection
        self._leave()
        self._consumer.on_whole(batch, answer)
        if not self.future.done():
            self.future.set_result(answer)
        for key, waiting in self._joined.items():
            at = self.keys.index(key)
            row = (answer.values[at], answer.statuses[at], answer.lives_ms[at])
            for future in waiting[::2]:
                if not future.done():
                    future.set_result(row)

    def _leave(self) -> None:
        """Nobody joins any more."""
        table = self._table
        if self in self._unlisted:
            del self._unlisted[self]
        else:
            for key in self.keys:
                if table.get(key) is self:
                    del table[key]

    def on_failure(self, batch: Batch, error: ZmcacheError) -> None:
        """From the channel."""
        self._split(batch)
        self._consumer.on_failure(batch, error)

    def _split(self, batch: Batch) -> None:
        if self in self._unlisted:
            self.enter_table()
        create_future, abandoned = asyncio.get_running_loop().create_future, self.future.done()
        sinks: list[Flight] = []
        for key in self.keys:
            future = create_future()
            if abandoned:
                future.cancel()
            self.futures.append(future)
            flight = [key, batch, future, self._deadline_s, *self._joined.get(key, ())]
            sinks.append(flight)
            if self._table.get(key) is self:
                self._table[key] = flight
        batch.sinks = sinks
        batch.consumer = self._consumer
        if not abandoned:
            self.future.set_result(None)


def found_in(keys: list[str], answer: Answer) -> dict[str, bytes | None]:
    """The values of a whole answer."""
    if not answer.statuses.translate(None, _VALUES):
        return dict(zip(keys, answer.values, strict=True))  # type: ignore[arg-type]  # the codec has held them against the statuses
    rows = zip(keys, answer.statuses, answer.values, strict=True)
    return {key: value for key, status, value in rows if status <= FROM_LOADER or status == IS_NONE}  # type: ignore[misc]  # as above


def discard(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Nobody will look at these, nor at the error that one of them may hold already."""
    for future in futures:
        if not future.cancel() and not future.cancelled():
            future.exception()
