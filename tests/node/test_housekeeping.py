"""Regular work goes on whatever happens in it, and a node that stood still long enough to be given up on notices it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from eventually import eventually
from mesh_fixture import Cluster, mesh_test

from zmcache.node.housekeeping import PAUSE_S, SUSPECTED_S, Housekeeping, time_since_boot_s
from zmcache.peers.pulse import BEAT_S, Pulse


class House:
    """Housekeeping with a clock that a test moves, and a sweep that always has more to do, so that it comes round at once."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.sweeps = 0
        self.standstills = 0
        self.sweep: Callable[[], bool] = lambda: True
        self.keeper = Housekeeping(self._swept, self._stood, clock=lambda: self.now_s)
        self.keeper.begin()

    def _swept(self) -> bool:
        self.sweeps += 1
        return self.sweep()

    def _stood(self) -> None:
        self.standstills += 1

    async def turn(self) -> None:
        """Wait for the next sweep."""
        before = self.sweeps
        await eventually(lambda: self.sweeps > before)


def house_test(test: Callable[[House], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        house = House()
        await house.turn()
        await test(house)
        house.keeper.close()

    asyncio.run(main())


def test_a_standstill_after_which_a_peer_may_have_given_up_is_noticed_once() -> None:
    async def test(house: House) -> None:
        house.now_s += SUSPECTED_S
        await house.turn()
        assert house.standstills == 1
        await house.turn()
        assert house.standstills == 1

    house_test(test)


def test_the_pauses_of_its_own_and_small_delays_are_no_standstill() -> None:
    async def test(house: House) -> None:
        for _ in range(10):
            house.now_s += SUSPECTED_S - PAUSE_S
            await house.turn()
        assert house.standstills == 0

    house_test(test)


@pytest.mark.parametrize("after_s", [0.0, BEAT_S / 2])
def test_no_peer_gives_up_sooner_than_a_standstill_is_noticed(after_s: float) -> None:
    pulse, now_s = Pulse(), 0.0
    pulse.connected()
    pulse.beat(0.0)
    pulse.pinged(1, after_s, between_beats=after_s > 0.0)  # from here on nothing comes back
    while True:
        now_s += BEAT_S
        if pulse.beat(now_s):
            break
    assert now_s - after_s >= SUSPECTED_S - 1e-9


def test_a_sweep_that_fails_is_reported_and_the_next_one_comes() -> None:
    async def test(house: House) -> None:
        errors: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))

        def fail() -> bool:
            raise ValueError("broken")

        house.sweep = fail
        await house.turn()
        await eventually(lambda: len(errors) == 1)
        house.sweep = lambda: True
        await house.turn()
        assert [str(error["exception"]) for error in errors] == ["broken"]

    house_test(test)


def test_nothing_is_called_after_the_end() -> None:
    async def test(house: House) -> None:
        house.keeper.close()
        before = house.sweeps
        await asyncio.sleep(0.02)
        assert house.sweeps == before

    house_test(test)


def test_a_node_that_stood_still_asks_the_others_what_they_were_given_and_keeps_what_it_holds() -> None:
    async def test(cluster: Cluster) -> None:
        key, group = cluster.key_of("a"), cluster.group("a")
        await group.set(key, b"before", ttl=3600)
        stand_still(cluster, "a")
        await eventually(lambda: cluster.nodes["a"].statistics()["standstills"] == 1)
        await eventually(lambda: cluster.nodes["b"].statistics()["handover.compared"] >= 1)
        await eventually(lambda: not cluster.nodes["a"]._parts.mesh.catches_up)
        item = await group.fetch(key)
        assert item is not None
        assert item.ttl_s is not None
        assert item.ttl_s > 3000

    mesh_test(test, moved_ttl_s=10.0)


def test_a_write_that_may_have_waited_in_a_socket_is_sent_on_to_who_stood_in_and_reaches_the_owner_from_there() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        stand_still(cluster, "a")
        # In this very turn of the loop: the frame is read before the timer can tell of the standstill.
        await cluster.group("b").set(key, b"sent before it", ttl=3600)
        assert cluster.nodes["a"].statistics()["standstills"] == 1
        assert cluster.nodes["b"].statistics()["group.items.sets"] == 1
        await eventually(lambda: cluster.group("a").get_nowait(key) == b"sent before it")

    mesh_test(test, moved_ttl_s=10.0)


def test_a_node_alone_has_missed_nothing_while_it_stood_still(caplog: pytest.LogCaptureFixture) -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.group("a").set("k", b"v", ttl=3600)
        stand_still(cluster, "a")
        await eventually(lambda: "stood still" in caplog.text)
        assert cluster.nodes["a"].statistics()["standstills"] == 0
        item = await cluster.group("a").fetch("k")
        assert item is not None
        assert item.ttl_s is not None
        assert item.ttl_s > 3000

    mesh_test(test, "a", moved_ttl_s=10.0)


def stand_still(cluster: Cluster, name: str) -> None:
    """Its clock jumps, as it does for a process that was stopped."""
    keeper = cluster.nodes[name]._parts.housekeeping
    keeper._clock = lambda: time_since_boot_s() + 2
