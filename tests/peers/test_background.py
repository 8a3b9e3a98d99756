"""Copies that nobody waits for: how many may be under way to a peer, and what becomes of those that are not."""

from __future__ import annotations

import asyncio

import pytest
from channel_bench import Bench, bench_test

from zmcache.core.flight import Outcome, Waiter
from zmcache.core.wire import COPY, DONE, Change, Limits
from zmcache.errors import Busy, DeadlineExceeded, PeerUnavailable, ZmcacheError
from zmcache.peers import background as background_module
from zmcache.peers.background import Background

HELD = Outcome(None, DONE, 0.0)


def failed(error: ZmcacheError) -> Outcome:
    return Outcome(None, error.code, 0.0, error)


def test_copies_that_nobody_waits_for_take_half_of_the_room_and_give_it_back() -> None:
    async def test(bench: Bench) -> None:
        background = Background(Limits(inflight_requests=10, inflight_bytes=8 * 1024 * 1024), lambda _: None)
        told: list[Outcome] = []

        def send(value: bytes = b"v", *, behind: bool = True) -> Waiter | None:
            return background.waiter(bench.channel, Change(COPY, "k", value), told.append, background=behind)

        waiters = [send() for _ in range(5)]
        assert None not in waiters
        assert told == []
        assert send() is None
        assert isinstance(told[0].error, Busy)
        assert background.dropped == 1
        # Who waits for one is not held up by those.
        assert send(behind=False) is not None
        assert waiters[0] is not None
        waiters[0](HELD)
        assert told[1] == HELD
        assert send() is not None
        for waiter in waiters[1:]:
            assert waiter is not None
            waiter(HELD)
        # By bytes, too.
        assert send(b"x" * 3_500_000) is not None
        assert send(b"x" * 3_500_000) is None
        background.close()

    bench_test(test)


@pytest.mark.parametrize(
    ("error", "short"),
    [(Busy("full"), ["fake"]), (DeadlineExceeded("late"), ["fake"]), (PeerUnavailable("gone"), [])],
    ids=["busy", "late", "gone"],
)
def test_who_lacks_copies_although_it_was_there_is_told_of_once(
    error: ZmcacheError, short: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(bench: Bench) -> None:
        found: list[str] = []
        background = Background(Limits(), found.append)
        for _ in range(5):
            waiter = background.waiter(bench.channel, Change(COPY, "k"), lambda _: None, background=True)
            assert waiter is not None
            waiter(failed(error))
        await asyncio.sleep(0.05)
        assert found == short

    monkeypatch.setattr(background_module, "AFTER_S", 0.01)
    bench_test(test)


def test_nobody_is_told_of_after_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(bench: Bench) -> None:
        found: list[str] = []
        background = Background(Limits(), found.append)
        waiter = background.waiter(bench.channel, Change(COPY, "k"), lambda _: None, background=False)
        assert waiter is not None
        waiter(failed(Busy("full")))
        background.close()
        await asyncio.sleep(0.03)
        assert found == []

    monkeypatch.setattr(background_module, "AFTER_S", 0.01)
    bench_test(test)
