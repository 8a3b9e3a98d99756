from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from eventually import eventually
from scripted_loader import ScriptedLoader, value_of

from zmcache.core.flight import Flight, Flights, Outcome
from zmcache.core.wire import FROM_LOADER, NO_SUCH_KEY
from zmcache.errors import BackendError, Busy, LoaderFailed, LoadTimeout, PeerUnavailable, UnknownGroup
from zmcache.loading import Loading


class Desk:
    """Flights in front of a `Loading`, as a group has them."""

    def __init__(self, loader: ScriptedLoader, **changes: Any) -> None:
        settings = {"load_timeout_s": 5.0, "max_loads": 2, "max_queued": 1000, "max_value_bytes": 100} | changes
        self.loading = Loading(loader, self.flights_land, **settings)
        self.flights = Flights()
        self.results: dict[Flight, Outcome] = {}

    def flights_land(self, flight: Flight, outcome: Outcome) -> None:
        assert flight not in self.results
        self.results[flight] = outcome
        self.flights.land(flight, outcome)

    def ask(self, key: str) -> Flight:
        flight = self.flights.start(key, None, self.abandoned)
        flight.join(self.waiter)
        self.loading.add(flight)
        return flight

    def waiter(self, outcome: Outcome) -> None: ...

    def abandoned(self, flight: Flight) -> None:
        for given_up in self.loading.abandon(flight):
            self.flights.abandon(given_up)

    async def result(self, flight: Flight) -> Outcome:
        await eventually(lambda: flight in self.results)
        return self.results[flight]

    async def error(self, flight: Flight) -> Exception:
        error = (await self.result(flight)).error
        assert error is not None
        return error


def desk_test(test: Callable[[Desk, ScriptedLoader], Any], *, max_batch: int = 100, **settings: Any) -> None:
    async def main() -> None:
        loader = ScriptedLoader(max_batch=max_batch)
        desk = Desk(loader, **settings)
        await test(desk, loader)
        await desk.loading.aclose()

    asyncio.run(main())


def test_keys_missing_in_one_turn_of_the_loop_reach_the_loader_together() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        flights = [desk.ask(f"k{n}") for n in range(5)]
        for n, flight in enumerate(flights):
            assert await desk.result(flight) == Outcome(value_of(f"k{n}"), FROM_LOADER, float("inf"))
        assert loader.calls == [["k0", "k1", "k2", "k3", "k4"]]

    desk_test(test)


def test_keys_that_wait_for_a_slot_form_the_next_batch() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.gate.clear()
        for n in range(7):
            desk.ask(f"k{n}")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert loader.calls == [["k0"], ["k1"]]
        loader.gate.set()
        await eventually(lambda: len(desk.results) == 7)
        assert loader.calls[2:] == [["k2", "k3", "k4"], ["k5", "k6"]]

    desk_test(test, max_batch=3)


def test_never_more_calls_run_at_once_than_max_loads() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = later
        flights = [desk.ask(f"k{n}") for n in range(50)]
        await eventually(lambda: len(desk.results) == 50)
        assert loader.most_running == 2
        assert all(desk.results[flight].value == b"late" for flight in flights)

    async def later(keys: list[str]) -> dict[str, bytes]:
        await asyncio.sleep(0.001)
        return dict.fromkeys(keys, b"late")

    desk_test(test, max_batch=1)


def test_a_loader_of_single_keys_gets_one_key_a_call() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        for n in range(10):
            desk.ask(f"k{n}")
        await eventually(lambda: len(desk.results) == 10)
        assert [len(call) for call in loader.calls] == [1] * 10

    desk_test(test, max_batch=1)


def test_a_full_queue_refuses_with_busy_and_takes_keys_again_later() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        for n in range(3):
            desk.ask(f"k{n}")
        with pytest.raises(Busy, match="limit 3"):
            desk.ask("one more")
        await eventually(lambda: len(desk.results) == 3)
        assert (await desk.result(desk.ask("again"))).value == value_of("again")

    desk_test(test, max_queued=3)


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyError("k"), TimeoutError("of its own"), OSError(5, "disk")])
def test_what_a_loader_raises_reaches_the_callers_under_its_name(error: Exception) -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = raising(error)
        flights = [desk.ask("a"), desk.ask("b")]
        for flight in flights:
            heard = await desk.error(flight)
            assert type(heard) is LoaderFailed
            assert "tests:scripted" in str(heard)
            assert type(error).__name__ in str(heard)

    desk_test(test)


def test_a_loader_that_cancels_itself_has_failed_and_its_callers_are_not_cancelled() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = raising(asyncio.CancelledError())
        heard = await desk.error(desk.ask("a"))
        assert isinstance(heard, LoaderFailed)
        assert "tests:scripted" in str(heard)

    desk_test(test)


def test_a_loaders_own_backend_error_is_passed_on_as_it_is() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = raising(LoaderFailed("loader x: named already"))
        assert str(await desk.error(desk.ask("a"))) == "loader x: named already"

    desk_test(test)


@pytest.mark.parametrize("error", [PeerUnavailable("of another cluster"), UnknownGroup("elsewhere"), Busy("there")])
def test_a_loader_that_reads_another_cluster_cannot_make_this_one_look_unreachable(error: Exception) -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = raising(error)
        assert isinstance(await desk.error(desk.ask("a")), BackendError)

    desk_test(test)


@pytest.mark.parametrize("found", [None, [], b"bytes", 5, {"a"}, [("a", b"v")]], ids=repr)
def test_a_loader_that_returns_no_mapping_fails_its_keys_by_name(found: object) -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = lambda keys: found
        for flight in (desk.ask("a"), desk.ask("b")):
            heard = await desk.error(flight)
            assert isinstance(heard, LoaderFailed)
            assert type(found).__name__ in str(heard)

    desk_test(test)


def test_a_mapping_that_raises_fails_its_keys_and_nobody_waits_for_ever() -> None:
    class Broken(dict[str, bytes]):
        def get(self, key: str, default: object = None) -> Any:
            raise RuntimeError("broken mapping")

    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = lambda keys: Broken()
        assert "broken mapping" in str(await desk.error(desk.ask("a")))

    desk_test(test)


@pytest.mark.parametrize(
    "value", ["text", 5, bytearray(b"v"), memoryview(b"v"), [b"v"], b"v" * 101], ids=lambda v: type(v).__name__
)
def test_a_wrong_or_outsize_value_fails_its_key_and_spares_its_neighbours(value: object) -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = lambda keys: {"bad": value, "good": b"v" * 100}
        bad, good = desk.ask("bad"), desk.ask("good")
        heard = await desk.error(bad)
        assert isinstance(heard, LoaderFailed)
        assert "'bad'" in str(heard)
        assert "tests:scripted" in str(heard)
        assert (await desk.result(good)).value == b"v" * 100

    desk_test(test)


def test_a_key_that_the_loader_leaves_out_does_not_exist_and_one_that_nobody_asked_for_is_ignored() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = lambda keys: {"a": b"1", "stranger": b"2", "none": None}
        a, b, none = desk.ask("a"), desk.ask("b"), desk.ask("none")
        assert (await desk.result(a)).value == b"1"
        assert (await desk.result(b)).status == NO_SUCH_KEY
        assert (await desk.result(none)).status == NO_SUCH_KEY
        assert len(desk.results) == 3

    desk_test(test)


def test_a_loader_that_hangs_is_cut_off_at_the_load_timeout_and_frees_its_slot() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.gate.clear()
        first, second = desk.ask("a"), desk.ask("b")
        heard = await desk.error(first)
        assert isinstance(heard, LoadTimeout)
        assert "tests:scripted" in str(heard)
        loader.gate.set()
        # Still in the queue, or cut off as well: either way it ends.
        await desk.result(second)
        assert (await desk.result(desk.ask("c"))).value == value_of("c")
        await eventually(lambda: desk.loading.running == 0)

    desk_test(test, load_timeout_s=0.05, max_loads=1, max_batch=1)


def test_a_key_that_nobody_waits_for_leaves_the_queue_unloaded() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.gate.clear()
        running = desk.ask("running")
        await eventually(lambda: bool(loader.calls))
        queued = desk.ask("queued")
        queued.leave(desk.waiter)
        loader.gate.set()
        await desk.result(running)
        await eventually(lambda: desk.loading.running == 0)
        assert loader.loaded == {"running": 1}
        assert queued.fenced

    desk_test(test, max_loads=1)


def test_a_call_is_cancelled_when_the_last_waiter_of_its_last_key_has_gone_and_not_before() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.gate.clear()
        a, b = desk.ask("a"), desk.ask("b")
        await eventually(lambda: bool(loader.calls))
        a.leave(desk.waiter)
        await asyncio.sleep(0)
        assert (loader.running, loader.cancelled) == (1, 0)
        assert desk.flights.get("a") is a  # still being loaded: it may be joined again
        b.leave(desk.waiter)
        assert desk.flights.get("a") is None
        assert desk.flights.get("b") is None
        await eventually(lambda: loader.cancelled == 1)
        assert a.fenced
        assert b.fenced

    desk_test(test)


def test_a_key_joined_again_after_its_waiter_left_keeps_the_call_alive() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.gate.clear()
        a, b = desk.ask("a"), desk.ask("b")
        await eventually(lambda: bool(loader.calls))
        a.leave(desk.waiter)
        a.join(desk.waiter)
        b.leave(desk.waiter)
        loader.gate.set()
        assert (await desk.result(a)).value == value_of("a")
        assert loader.cancelled == 0

    desk_test(test)


def test_a_fenced_key_and_the_one_that_followed_it_are_two_loads() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        old = desk.ask("k")
        desk.flights.fence("k")
        new = desk.ask("k")
        await desk.result(old)
        await desk.result(new)
        assert loader.calls == [["k"], ["k"]]

    desk_test(test)


def test_closing_tells_who_waits_starts_nothing_more_and_closes_the_loader() -> None:
    async def main() -> None:
        loader = ScriptedLoader(max_batch=1)
        desk = Desk(loader, max_loads=1)
        loader.gate.clear()
        flights = [desk.ask(f"k{n}") for n in range(5)]
        await eventually(lambda: bool(loader.calls))
        await desk.loading.aclose()
        assert [type(desk.results[flight].error) for flight in flights] == [PeerUnavailable] * 5
        await asyncio.sleep(0)
        assert loader.calls == [["k0"]]
        assert loader.closed
        with pytest.raises(PeerUnavailable):
            desk.ask("late")

    asyncio.run(main())


def test_the_counters_tell_loaded_from_failed_keys() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = lambda keys: {"a": b"1", "b": "text"}
        for key in "abc":
            desk.ask(key)
        await eventually(lambda: len(desk.results) == 3)
        assert (desk.loading.loader_calls, desk.loading.loaded_keys, desk.loading.failed_keys) == (1, 2, 1)

    desk_test(test)


def raising(error: BaseException) -> Callable[[list[str]], Any]:
    def answer(keys: list[str]) -> Any:
        raise error

    return answer
