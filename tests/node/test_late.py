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


class Way:
    """A flight that can be left."""

    def __init__(self) -> None:
        self.left: list[Waiter] = []

    def leave(self, waiter: Waiter) -> None:
        self.left.append(waiter)


class Request:
    """A request whose work begins when it is made; and the `Home` that it waits in, whose deadline passes when the test says so."""

    def __init__(self, count: int, *, at_once: dict[int, Outcome] | None = None) -> None:
        self.sent: list[Row] = []
        self.waiting = self.done = self.turns = 0
        self.ways = [Way() for _ in range(count)]
        self.late = Late((b"peer", 1), count, 1.0, self, self._send)
        self.waiters = [self.late.waiter(at) for at in range(count)]
        for at, way in enumerate(self.ways):
            if at_once is not None and at in at_once:
                self.waiters[at](at_once[at])
            self.late.joined(at, way, self.waiters[at])
        self.late.flush()

    def _send(self, rows: list[Row]) -> None:
        self.sent += rows

    def waits(self, late: Late, count: int) -> int:
        self.waiting += count
        return 7

    def settled(self, late: Late, count: int) -> None:
        self.waiting -= count

    def ended(self, late: Late, bucket: int) -> None:
        assert bucket == 7
        self.done += 1

    def soon(self, call: Callable[[], None]) -> None:
        self.turns += 1
        asyncio.get_running_loop().call_soon(call)


def test_a_request_that_is_all_done_when_its_work_has_begun_waits_for_nothing() -> None:
    request = Request(2, at_once={1: VALUE, 0: LEASE})
    assert request.sent == [(0, LEASE), (1, VALUE)]
    assert (request.turns, request.waiting, request.done) == (0, 0, 0)
    request.late.cancel(None)
    assert [way.left for way in request.ways] == [[], []]


def test_what_was_done_at_once_is_sent_at_once_and_only_the_rest_waits() -> None:
    request = Request(3, at_once={1: VALUE})
    assert request.sent == [(1, VALUE)]
    assert request.waiting == 2
    request.late.expire()
    assert (request.sent, request.waiting, request.done) == ([(1, VALUE)], 0, 1)
    assert [len(way.left) for way in request.ways] == [1, 0, 1]


def test_what_came_in_the_turn_of_the_deadline_is_sent_and_the_rest_given_up() -> None:
    async def main() -> None:
        request = Request(2)
        request.waiters[1](LEASE)
        request.late.expire()
        assert request.sent == [(1, LEASE)]
        assert (request.waiting, request.done) == (0, 1)
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
        assert (len(request.sent), request.waiting, request.done) == (3, 0, 1)

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
        assert (request.waiting, request.done) == (0, 1)
        assert request.ways[1].left == [request.waiters[1]]
        assert request.ways[0].left == []

    asyncio.run(main())
