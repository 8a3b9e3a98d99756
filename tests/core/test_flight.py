from __future__ import annotations

from zmcache.core.flight import Flight, Flights, Outcome, Waiter, failure
from zmcache.core.wire import FROM_LOADER
from zmcache.errors import Busy, LoaderFailed

VALUE = Outcome(b"v", FROM_LOADER, 1.0)


def recorder(results: list[Outcome]) -> Waiter:
    return lambda outcome: results.append(outcome)


def test_everyone_who_joined_hears_the_one_result() -> None:
    flights, results = Flights(), list[Outcome]()
    flight = flights.start("k", None)
    for _ in range(1000):
        flight.join(recorder(results))
    flights.land(flight, VALUE)
    assert results == [VALUE] * 1000
    assert flights.started == 1


def test_a_waiter_that_leaves_hears_nothing_and_takes_nobody_with_it() -> None:
    flights, results, gone = Flights(), list[Outcome](), list[Outcome]()
    flight = flights.start("k", None)
    first, second = recorder(gone), recorder(results)
    flight.join(first)
    flight.join(second)
    flight.leave(first)
    flight.leave(first)
    flights.land(flight, VALUE)
    assert (gone, results) == ([], [VALUE])


def test_work_is_given_up_once_and_only_when_the_last_waiter_has_gone() -> None:
    flights, given_up = Flights(), list[Flight]()
    flight = flights.start("k", None, given_up.append)
    waiters = [recorder([]) for _ in range(3)]
    for waiter in waiters:
        flight.join(waiter)
    for waiter in waiters[:2]:
        flight.leave(waiter)
    assert given_up == []
    flight.leave(waiters[2])
    flight.leave(waiters[2])
    assert given_up == [flight]


def test_leaving_a_flight_that_has_landed_gives_nothing_up() -> None:
    flights, given_up = Flights(), list[Flight]()
    flight = flights.start("k", None, given_up.append)
    waiter = recorder([])
    flight.join(waiter)
    flights.land(flight, VALUE)
    flight.leave(waiter)
    assert given_up == []


def test_a_waiter_that_asks_again_when_it_hears_the_result_starts_anew() -> None:
    flights = Flights()
    seen: list[Flight | None] = []
    flight = flights.start("k", None)
    flight.join(lambda _: seen.append(flights.get("k")))
    flights.land(flight, failure(LoaderFailed("no")))
    assert seen == [None]


def test_a_flight_lands_once() -> None:
    flights, results = Flights(), list[Outcome]()
    flight = flights.start("k", None)
    flight.join(recorder(results))
    flights.land(flight, VALUE)
    flights.land(flight, failure(Busy("late")))
    assert results == [VALUE]


def test_nobody_joins_a_fenced_flight_and_its_waiters_still_get_the_result() -> None:
    flights, results = Flights(), list[Outcome]()
    old = flights.start("k", None)
    old.join(recorder(results))
    flights.fence("k")
    assert flights.get("k") is None
    new = flights.start("k", None)
    flights.land(old, VALUE)
    assert old.fenced
    assert not new.fenced
    assert flights.get("k") is new  # the old one's landing did not take the new one out of the table
    assert results == [VALUE]


def test_what_comes_of_abandoned_work_is_not_to_be_stored() -> None:
    flights = Flights()
    flight = flights.start("k", None)
    flights.abandon(flight)
    assert flight.fenced
    assert flights.get("k") is None


def test_landing_all_tells_everyone_and_stands_a_waiter_that_starts_another() -> None:
    flights, results = Flights(), list[Outcome]()
    for key in "abc":
        flights.start(key, None).join(recorder(results))
    first = flights.get("a")
    assert first is not None

    def start_another(_: Outcome) -> None:
        flights.start("d", None)

    first.join(start_another)
    stopping = failure(Busy("stopping"))
    flights.land_all(stopping)
    assert results == [stopping] * 3
