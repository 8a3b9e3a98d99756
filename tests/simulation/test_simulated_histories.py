"""A thousand histories of simulated clusters keep every promise; a seed always gives the same one; and what would break a promise is found."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from history_plan import EVENTS, plan
from shrinking import shrunk
from simulation import run_plan, run_seed

from zmcache.changing import Changing
from zmcache.core.flight import Flight, Flights
from zmcache.core.hot import HotCache
from zmcache.core.store import Store
from zmcache.core.tombstones import Tombstones
from zmcache.deadlines import Deadlines
from zmcache.node.sending import Sending
from zmcache.strays import Strays

# Fewer where something else is looked for: see `make coverage`.
HISTORIES = int(os.environ.get("SIMULATED_HISTORIES", "1000"))
_A_PART = min(100, HISTORIES)
_SIMULATE = Path(__file__).with_name("simulate.py")


def simulate(*arguments: str, hash_seed: str = "0") -> subprocess.CompletedProcess[str]:
    # Not measured for coverage: it would take five times as long, and other tests show the same lines.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, str(_SIMULATE), *arguments],
        env=environment | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.early
@pytest.mark.timeout(600)  # some twenty seconds on a machine that has nothing else to do
@pytest.mark.parametrize("first", range(0, HISTORIES, _A_PART))
def test_a_history_of_200_events_keeps_every_promise(first: int) -> None:
    run = simulate("--first", str(first), "--histories", str(_A_PART), "--jobs", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{_A_PART} histories" in run.stdout
    _assert_a_share_of_calm_and_of_trouble(run.stdout)


def _assert_a_share_of_calm_and_of_trouble(told: str) -> None:
    counts = {what: int(count) for count, what in re.findall(r"(\d+) (\w+)", told)}
    assert counts["value"] > counts["calls"] / 4
    assert counts["failed"] > counts["calls"] / 200
    assert counts["disturbances"] > _A_PART * 5
    assert counts["calm"] == _A_PART


def test_a_plan_is_200_events_of_many_kinds_drawn_from_its_seed() -> None:
    plans = [plan(seed) for seed in range(50)]
    assert {len(drawn.events) for drawn in plans} == {EVENTS} == {200}
    assert len({drawn.setup.kind for drawn in plans}) > 5
    assert len({event.kind for drawn in plans for event in drawn.events}) > 12
    assert plan(7) == plan(7) != plan(8)


@pytest.mark.parametrize("seed", [3, 15, 21])
def test_a_seed_gives_the_same_history_event_for_event(seed: int) -> None:
    first, second = run_seed(seed), run_seed(seed)
    assert first.log.splitlines() == second.log.splitlines()
    assert len(first.history.operations) > EVENTS // 2


@pytest.mark.parametrize("seed", [4, 15])  # in 4 two nodes keep copies of a key that changes
def test_a_seed_gives_the_same_history_in_another_process(seed: int) -> None:
    digests = {tuple(re.findall(r"digest (\w+)", simulate("--seed", str(seed)).stdout)) for _ in range(3)}
    assert len(digests) == 1
    assert digests != {()}


# -- what was found, and is mended -------------------------------------------------------------------------------------

FOUND = {
    13: "who joined another's question of a peer was told that its time was up when only the question's was",
    321: "clients clung to a ring of dead nodes after etcd had lost its data, since it counted on from there",
    437: "a member that had vanished while a ring was being built stayed in the next one without ever being asked",
    13464: "through any node, a client failed while it had lost the addresses it was given, though it knew of members that serve",
    931: "clients clung to a ring of which one node still lived after etcd had lost its data",
    268: "a node that had lost its lease let go of all that it held when one peer did not tell it in time, and said no such key",
    434: "a value that a cut-off holder had missed ended, and the older one came back with that holder",
    514: "the same by a holder that had been off the ring while the newer value was set and ended",
    633: "a write that a node took in the place of one that had stood still was handed over with the short life of what is another's",
    650: "a key that was held and remembered as missed by somebody came twice in a walk, and cancelled itself out in the digest",
    773: "who held a copy in the place of a dead node let go of it before the ring knew",
    774: "who had asked for a write deleted the copy of it that it had been sent in the place of a dead node",
    114: "a copy that lay in the socket of a node that stood still was kept for good when the ring had moved on",
    1953: "a node whose word that it serves was lost with etcd's data stayed joining until the next listing",
}


@pytest.mark.parametrize("seed", FOUND)
def test_what_a_seed_once_found_is_mended(seed: int) -> None:
    assert run_seed(seed).violations == []


# -- what would be found -----------------------------------------------------------------------------------------------


@contextmanager
def _broken(owner: type, name: str, broken: Callable[..., Any]) -> Iterator[None]:
    """``broken`` is called with what it replaces before the arguments."""
    real = getattr(owner, name)
    with patch.object(owner, name, lambda *args, **kwargs: broken(real, *args, **kwargs)):
        yield


def _lose_a_few(
    real: Any, store: Store, key: str, value: Any, expires_at_s: float, now_s: float, version: int = 0
) -> bool:
    return (
        True
        if isinstance(value, bytes) and value.count(b".") % 7 == 1
        else real(store, key, value, expires_at_s, now_s, version)
    )


def _tear(real: Any, store: Store, key: str, value: Any, *rest: Any) -> bool:
    return real(store, key, value[: len(value) // 2] if len(value) > 60 else value, *rest)


def _mix_up(real: Any, changing: Changing, change: Any) -> Any:
    return real(changing, change._replace(key="p1") if change.key == "p0" else change)


def _for_ever(real: Any, store: Store, key: str, value: Any, expires_at_s: float, *rest: Any) -> bool:
    return real(store, key, value, expires_at_s + 1.5 if store.__class__ is Store else expires_at_s, *rest)


class _Deaf(HotCache):
    """Or what owners tell would end a copy long before its time."""

    __slots__ = ()

    def hear(self, keys: list[str], now_s: float) -> None:
        pass


def _copy_for_long(
    real: Any, hot: HotCache, key: str, value: Any, expires_at_s: float, now_s: float, teller: Any
) -> None:
    hot.__class__, hot._ttl_s = _Deaf, 3.0
    real(hot, key, value, expires_at_s, now_s)


def _nobody(real: Any, flights: Flights, key: str) -> Flight | None:
    return None


def _take_all_along(real: Any, flight: Flight, waiter: Any) -> None:
    flight._waiters = dict.fromkeys([waiter])
    real(flight, waiter)


def _late(real: Any, deadlines: Deadlines, deadline_s: float, callback: Any) -> int:
    return real(deadlines, deadline_s + 0.1, callback)


def _whatever_version(real: Any, changing: Changing, key: str, version: int) -> bool:
    return True


async def _nowhere(real: Any, *args: Any, **kwargs: Any) -> bool:
    return True


def _nothing(real: Any, *args: Any, **kwargs: Any) -> None:
    return None


# Each with the seed from which on it is looked for: a few histories before the first that shows it today.
PLANTED = [
    ("an acknowledged set is not stored", Store, "set", _lose_a_few, {"lost", "stale"}, 70),
    ("a value is cut in half", Store, "set", _tear, {"wrong value"}, 70),
    ("a key gets the value of another", Changing, "apply", _mix_up, {"wrong value"}, 70),
    ("values outlive their lives", Store, "set", _for_ever, {"expired"}, 1),
    ("hot copies live for long", HotCache, "offer", _copy_for_long, {"stale", "lost"}, 4),
    ("flights are not joined", Flights, "get", _nobody, {"loaded beside itself"}, 70),
    ("who leaves takes all others along", Flight, "leave", _take_all_along, {"never ended", "late", "failed in calm", "cut short"}, 81),
    ("timers are late", Deadlines, "add", _late, {"late"}, 70),
    ("older copies take the place of newer ones", Changing, "wants", _whatever_version, {"stale"}, 428),
    ("deletes leave nothing behind", Tombstones, "add", _nothing, {"stale", "lost"}, 70),
    ("what others lack is never sent", Sending, "add", _nowhere, {"lost"}, 70),
    ("what is another's is kept for good", Strays, "let_go", _nothing, {"stale", "lost"}, 70),
]  # fmt: skip


@pytest.mark.parametrize(
    ("owner", "name", "broken", "rules", "first"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED]
)
def test_a_planted_bug_is_found(
    owner: type, name: str, broken: Callable[..., Any], rules: set[str], first: int
) -> None:
    with _broken(owner, name, broken):
        for seed in range(first, first + 200):
            found = {violation.rule for violation in run_seed(seed).violations}
            if found & rules:
                return
    pytest.fail("not found in 200 histories")


def test_of_a_history_that_breaks_a_promise_only_what_matters_is_left() -> None:
    with _broken(Changing, "apply", _mix_up):
        seed = next(seed for seed in range(200) if run_seed(seed).violations)
        small = shrunk(plan(seed))
        assert run_plan(small).violations
    assert len(small.events) < 10
    assert run_plan(small).violations == []
