"""More is asked of a loader than it can bring: who is refused, when, and who is not."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Any

from eventually import eventually
from scripted_loader import ScriptedLoader

from zmcache.core.flight import Flight, Flights, Outcome
from zmcache.errors import Busy
from zmcache.loading import Loading


class Desk:
    """A `Loading` of single keys by two slots, and what came of each key. Calls end when the test says so."""

    def __init__(self, **changes: Any) -> None:
        self.loader = ScriptedLoader(max_batch=changes.pop("max_batch", 1))
        settings = {"load_timeout_s": 5.0, "max_loads": 2, "max_queued": 1000, "max_value_bytes": 100} | changes
        self.loading = Loading(self.loader, self.landed, **settings)
        self.flights = Flights()
        self.results: dict[str, Outcome] = {}

    def landed(self, flight: Flight, outcome: Outcome) -> None:
        self.results[flight.key] = outcome
        self.flights.land(flight, outcome)

    def ask(self, key: str, within_s: float = math.inf, source: object = None) -> bool:
        """False: refused."""
        flight = self.flights.start(key, None, None)
        try:
            self.loading.add(flight, asyncio.get_running_loop().time() + within_s, source)
        except Busy:
            return False
        return True

    async def warm(self, took_s: float, calls: int = 2) -> None:
        """So many calls that took so long at least."""
        for n in range(calls):
            assert self.ask(f"warm{n}")
        await asyncio.sleep(took_s)
        self.loader.gate.set()
        await eventually(lambda: self.loading.running == 0)
        self.loader.gate.clear()


def desk_test(test: Callable[[Desk], Any], **settings: Any) -> None:
    async def main() -> None:
        desk = Desk(**settings)
        desk.loader.gate.clear()
        await test(desk)
        desk.loader.gate.set()
        await desk.loading.aclose()

    asyncio.run(main())


def test_what_would_have_to_wait_for_longer_than_its_deadline_is_refused_at_once_and_what_can_be_done_is_not() -> None:
    async def test(desk: Desk) -> None:
        await desk.warm(0.2)
        assert desk.ask("slot", 0.01)  # a slot is free for it, and nobody knows how long it will take
        assert desk.ask("slot too", 0.01)
        await eventually(lambda: desk.loading.running == 2)
        assert not desk.ask("hurried", 0.15)
        # The first two may end in this moment, and the two behind them after 0.2 s.
        assert [desk.ask(f"k{n}", 0.35) for n in range(4)] == [True, True, False, False]
        assert [desk.ask(f"l{n}", 0.55) for n in range(4)] == [True, True, False, False]
        assert desk.ask("patient", 5)
        desk.loader.gate.set()
        await eventually(lambda: "patient" in desk.results)
        assert all(outcome.error is None for outcome in desk.results.values())

    desk_test(test)


def test_keys_that_share_a_call_are_counted_as_one() -> None:
    async def test(desk: Desk) -> None:
        await desk.warm(0.2)
        for n in range(4):
            assert desk.ask(f"slots{n}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert all(desk.ask(f"k{n}", 0.35) for n in range(20 - desk.loading.queued))
        assert not desk.ask("one more", 0.35)

    desk_test(test, max_batch=10)


def test_before_anything_was_measured_nothing_is_refused() -> None:
    async def test(desk: Desk) -> None:
        assert all(desk.ask(f"k{n}", 0.001) for n in range(100))

    desk_test(test)


def test_one_call_that_was_quick_is_reason_enough_to_refuse_nothing() -> None:
    async def test(desk: Desk) -> None:
        await desk.warm(0.2, calls=4)
        desk.loader.gate.set()
        assert desk.ask("quick")
        await eventually(lambda: "quick" in desk.results)
        desk.loader.gate.clear()
        assert all(desk.ask(f"k{n}", 0.05) for n in range(10))

    desk_test(test)


def test_a_loader_that_hung_is_asked_again_as_soon_as_a_slot_is_free() -> None:
    async def test(desk: Desk) -> None:
        for n in range(2):
            assert desk.ask(f"hangs{n}")
        await eventually(lambda: len(desk.results) == 2)  # by the load timeout
        assert desk.ask("slot")
        assert desk.ask("slot too")
        await asyncio.sleep(0)
        assert not desk.ask("refused", 0.05)
        desk.loader.gate.set()
        await eventually(lambda: "slot too" in desk.results)
        assert all(desk.ask(f"k{n}", 0.05) for n in range(20))
        await eventually(lambda: "k19" in desk.results)
        assert desk.results["k19"].error is None

    desk_test(test, load_timeout_s=0.1)


def test_a_full_queue_makes_room_for_who_has_little_in_it_and_not_for_who_filled_it() -> None:
    async def test(desk: Desk) -> None:
        assert all(desk.ask(f"slot{n}") for n in range(2))
        await eventually(lambda: desk.loading.running == 2)
        assert all(desk.ask(f"noisy{n}", source="noisy") for n in range(10))
        assert not desk.ask("one more", source="noisy")
        assert all(desk.ask(f"polite{n}", source="polite") for n in range(5))
        assert not desk.ask("polite5", source="polite")
        assert desk.loading.queued == 10
        assert [key for key, outcome in desk.results.items() if isinstance(outcome.error, Busy)] == [
            f"noisy{n}" for n in (9, 8, 7, 6, 5)
        ]
        desk.loader.gate.set()
        await eventually(lambda: "polite4" in desk.results)
        assert [keys[0] for keys in desk.loader.calls][2:6] == ["noisy0", "polite0", "noisy1", "polite1"]

    desk_test(test, max_queued=10)
