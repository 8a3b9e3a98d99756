"""The positions of a request that are answered later: each is sent or given up, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from zmcache.core.flight import Outcome, Waiter
from zmcache.core.wire import FROM_OWNER, LEASED
from zmcache.node.late import Late, Row

LEASE = Outcome(None, LEASED, 0.0, None, 17)
VALUE = Outcome(b"value", FROM_OWNER, 1e9)


class Timer:
    """In place of `Deadlines`: the test says when."""

    def add(self, deadline_s: float, callback: Callable[[], None]) -> int:
        self.fire = callback
        return 0

    def discard(self, bucket: int, callback: Callable[[], None]) -> None:
        self.fire = lambda: None


class Way:
    """A flight that can be left."""

    def __init__(self) -> None:
        self.left: list[Waiter] = []

    def leave(self, waiter: Waiter) -> None:
        self.left.append(waiter)


class Request:
    def __init__(self, count: int) -> None:
        self.timer = Timer()
        self.sent: list[Row] = []
        self.given_up = self.done = 0
        self.ways = [Way() for _ in range(count)]
        self.late = Late(
            count,
            1.0,
            loop=asyncio.get_running_loop(),
            deadlines=self.timer,  # type: ignore[arg-type]
            send=self.sent.extend,
            give_up=self._give_up,
            done=self._done,
        )
        self.waiters = [self.late.waiter(at) for at in range(count)]
        for at, way in enumerate(self.ways):
            self.late.joined(at, way, self.waiters[at])

    def _give_up(self, count: int) -> None:
        self.given_up += count

    def _done(self) -> None:
        self.done += 1


def test_what_came_in_the_turn_of_the_deadline_is_sent_and_the_rest_given_up() -> None:
    async def main() -> None:
        request = Request(2)
        request.waiters[1](LEASE)
        request.timer.fire()
        assert request.sent == [(1, LEASE)]
        assert (request.given_up, request.done) == (1, 1)
        assert request.ways[0].left == [request.waiters[0]]
        assert request.ways[1].left == []
        await asyncio.sleep(0)
        request.waiters[0](VALUE)
        await asyncio.sleep(0)
        assert request.sent == [(1, LEASE)]

    asyncio.run(main())


def test_what_comes_in_one_turn_goes_out_together_at_its_end() -> None:
    async def main() -> None:
        request = Request(3)
        request.waiters[2](VALUE)
        request.waiters[0](LEASE)
        assert request.sent == []
        await asyncio.sleep(0)
        assert request.sent == [(2, VALUE), (0, LEASE)]
        assert request.done == 0
        request.waiters[1](VALUE)
        await asyncio.sleep(0)
        assert (len(request.sent), request.given_up, request.done) == (3, 0, 1)

    asyncio.run(main())


@pytest.mark.parametrize("positions", [None, [0, 1]])
def test_what_is_cancelled_is_left_unless_it_has_come(positions: list[int] | None) -> None:
    async def main() -> None:
        request = Request(2)
        request.waiters[0](VALUE)
        request.late.cancel(positions)
        request.late.cancel(positions)
        await asyncio.sleep(0)
        assert request.sent == [(0, VALUE)]
        assert (request.given_up, request.done) == (1, 1)
        assert request.ways[1].left == [request.waiters[1]]
        assert request.ways[0].left == []

    asyncio.run(main())
