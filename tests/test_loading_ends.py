"""How a call of the loader ends: in time, late or never, and what is left of it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from eventually import eventually
from mesh_fixture import took_less_than
from scripted_loader import ScriptedLoader, value_of
from test_loading import Desk, desk_test, raising

from zmcache.core.flight import Flight, Outcome
from zmcache.errors import LoaderFailed, LoadTimeout, PeerUnavailable


class Stubborn:
    """An answer that swallows every cancellation until it is released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.swallowed = 0

    async def __call__(self, keys: list[str]) -> dict[str, bytes]:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.swallowed += 1
        return dict.fromkeys(keys, b"too late")


def test_callers_hear_of_the_load_timeout_at_once_from_a_loader_that_swallows_its_cancellation() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = stubborn = Stubborn()
        with took_less_than(1.0):
            heard = [await desk.error(flight) for flight in (desk.ask("a"), desk.ask("b"))]
        assert [type(error) for error in heard] == [LoadTimeout] * 2
        assert "tests:scripted" in str(heard[0])
        await eventually(lambda: stubborn.swallowed == 1)
        stubborn.released.set()
        await eventually(lambda: desk.loading.running == 0)
        assert desk.loading.loaded_keys == 0

    desk_test(test, load_timeout_s=0.02)


def test_a_call_keeps_its_slot_until_it_has_really_ended() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = stubborn = Stubborn()
        assert isinstance(await desk.error(desk.ask("held")), LoadTimeout)
        waiting = desk.ask("waiting")
        await eventually(lambda: stubborn.swallowed == 1)
        assert (loader.calls, desk.loading.running, desk.loading.queued) == ([["held"]], 1, 1)
        loader.answer = None
        stubborn.released.set()
        assert (await desk.result(waiting)).value == value_of("waiting")
        assert loader.most_running == 1

    desk_test(test, load_timeout_s=0.02, max_loads=1)


def test_an_abandoned_call_that_goes_on_keeps_its_slot_too_and_its_result_reaches_nobody() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = stubborn = Stubborn()
        left = desk.ask("left")
        await eventually(lambda: bool(loader.calls))
        left.leave(desk.waiter)
        again = desk.ask("left")
        await eventually(lambda: stubborn.swallowed == 1)
        assert loader.calls == [["left"]]
        loader.answer = None
        stubborn.released.set()
        assert (await desk.result(again)).value == value_of("left")
        assert left not in desk.results

    desk_test(test, max_loads=1)


def test_closing_is_bounded_by_a_second_and_tells_everyone_at_its_start() -> None:
    async def main() -> None:
        loader = ScriptedLoader()
        loader.answer = stubborn = Stubborn()
        desk = Desk(loader)
        flight = desk.ask("a")
        await eventually(lambda: bool(loader.calls))
        with took_less_than(2.0):
            closing = asyncio.create_task(desk.loading.aclose())
            assert isinstance(await desk.error(flight), PeerUnavailable)
            assert not closing.done()
            await closing
        assert loader.closed
        stubborn.released.set()
        await eventually(lambda: desk.loading.running == 0)

    asyncio.run(main())


def test_closing_ends_a_loader_that_swallows_one_cancellation() -> None:
    async def swallows_once(keys: list[str]) -> dict[str, bytes]:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(60)
        return {}

    async def main() -> None:
        loader = ScriptedLoader(answer=swallows_once)
        desk = Desk(loader)
        desk.ask("a")
        await eventually(lambda: bool(loader.calls))
        await desk.loading.aclose()
        assert desk.loading.running == 0

    asyncio.run(main())


def test_a_call_that_will_not_end_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = stubborn = Stubborn()
        await desk.result(desk.ask("a"))
        await eventually(lambda: "goes on although it was cancelled" in caplog.text)
        assert "tests:scripted" in caplog.text
        stubborn.released.set()

    desk_test(test, load_timeout_s=0.01)


def test_a_late_failure_of_a_call_that_was_given_up_disturbs_nobody() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        complaints: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: complaints.append(context))

        async def fails_when_cancelled(keys: list[str]) -> dict[str, bytes]:
            try:
                await asyncio.sleep(60)
            finally:
                raise OSError("while tidying up")

        loader.answer = fails_when_cancelled
        assert isinstance(await desk.error(desk.ask("a")), LoadTimeout)
        await eventually(lambda: desk.loading.running == 0)
        gc.collect()
        assert complaints == []

    desk_test(test, load_timeout_s=0.01)


def test_what_a_loader_raised_is_the_cause_of_what_its_callers_hear() -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        boom = RuntimeError("boom")
        loader.answer = raising(boom)
        assert (await desk.error(desk.ask("a"))).__cause__ is boom

    desk_test(test)


def test_a_broken_mapping_and_an_exception_without_a_text_are_answers_too() -> None:
    class Textless(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    class Broken(dict[str, bytes]):
        def get(self, key: str, default: object = None) -> Any:
            raise Textless

    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        loader.answer = lambda keys: Broken()
        for answer in (raising(Textless()), lambda keys: Broken()):
            loader.answer = answer
            heard = await desk.error(desk.ask("a"))
            assert type(heard) is LoaderFailed
            assert type(heard.__cause__) is Textless
            assert "Textless" in str(heard)

    desk_test(test)


class Rude(BaseException):
    """What no `except Exception` catches."""


def test_what_raises_even_while_it_is_looked_at_is_an_answer_and_the_key_can_be_loaded_again() -> None:
    class Untold(Exception):
        def __str__(self) -> str:
            raise Rude

    class Broken(dict[str, bytes]):
        def get(self, key: str, default: object = None) -> Any:
            raise Rude

    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        for answer in (raising(Untold()), lambda keys: Broken()):
            loader.answer = answer
            assert isinstance(await desk.error(desk.ask("k")), LoaderFailed)
        loader.answer = None
        assert (await desk.result(desk.ask("k"))).value == value_of("k")

    desk_test(test)


class InHand:
    """Something that a loader has in a variable when it fails."""


class BrokenMapping(dict[str, bytes]):
    def __init__(self, in_hand: InHand) -> None:
        self.in_hand = in_hand

    def get(self, key: str, default: object = None) -> Any:
        raise RuntimeError("with its hands full")


def _raises(in_hand: InHand) -> object:
    raise RuntimeError("with its hands full")


@pytest.mark.parametrize("ending", [_raises, BrokenMapping], ids=["raising", "broken mapping"])
def test_a_failure_keeps_what_the_loader_had_in_hand_no_longer_than_somebody_keeps_the_failure(
    ending: Callable[[InHand], object],
) -> None:
    async def test(desk: Desk, loader: ScriptedLoader) -> None:
        seen: list[weakref.ref[InHand]] = []

        def answer(keys: list[str]) -> object:
            in_hand = InHand()
            seen.append(weakref.ref(in_hand))
            return ending(in_hand)

        loader.answer = answer
        heard: list[Outcome] = []
        flight: Flight = desk.flights.start("a", None)
        flight.join(heard.append)
        gc.collect()
        gc.disable()  # nothing but references going may free it
        try:
            desk.loading.add(flight)
            await eventually(lambda: bool(heard) and desk.loading.running == 0)
            assert heard[0].error is not None
            assert heard[0].error.__cause__ is not None
            heard.clear()
            desk.results.clear()
            await eventually(lambda: seen[0]() is None)
        finally:
            gc.enable()

    desk_test(test)
