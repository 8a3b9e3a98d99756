"""Who asks a process to stop, how often, and what of it counts."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from zmcache.cli.stopping import SIGNALS, Stop


def stopping(test: Callable[[Stop, list[str]], object]) -> None:
    async def main() -> None:
        reasons: list[str] = []
        loop = asyncio.get_running_loop()
        before = [signal.getsignal(signum) for signum in SIGNALS]
        stop = Stop(loop, reasons.append)
        try:
            outcome = test(stop, reasons)
            if asyncio.iscoroutine(outcome):
                await outcome
        finally:
            for signum, handler in zip(SIGNALS, before, strict=True):
                loop.remove_signal_handler(signum)
                signal.signal(signum, handler)

    asyncio.run(main())


def test_asked_over_the_wire_any_number_of_times_it_stops_kindly_and_so_it_does_at_the_first_signal_after_that() -> (
    None
):
    def test(stop: Stop, reasons: list[str]) -> None:
        for _ in range(3):
            stop.ask_from_afar("asked to leave", anew=False)
        assert stop.asked.is_set()
        stop.ask("SIGTERM")
        assert not stop.asked_again.is_set()
        stop.ask("SIGTERM")
        assert stop.asked_again.is_set()
        assert reasons == ["asked to leave", "SIGTERM"]

    stopping(test)


@pytest.mark.parametrize(
    ("asked", "anew"), [((True,), True), ((True, True), True), ((True, False), False), ((False, True), False)]
)
def test_it_begins_anew_unless_somebody_has_asked_it_to_leave(asked: tuple[bool, ...], anew: bool) -> None:
    def test(stop: Stop, _reasons: list[str]) -> None:
        for one in asked:
            stop.ask_from_afar("asked", anew=one)
        assert stop.anew is anew

    stopping(test)


def test_a_signal_makes_an_end_of_beginning_anew_even_at_the_last_moment() -> None:
    async def test(stop: Stop, _reasons: list[str]) -> None:
        stop.ask_from_afar("asked", anew=True)
        os.kill(os.getpid(), signal.SIGTERM)  # noticed, and not yet passed on by the loop
        assert stop.anew
        assert not await stop.is_anew_at_last()
        assert all(signal.getsignal(signum) is signal.SIG_DFL for signum in SIGNALS)

    stopping(test)
