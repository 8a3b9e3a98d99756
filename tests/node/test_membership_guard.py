"""A membership service that forgets most of the members at once is doubted for a minute; everything else is believed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from eventually import eventually
from fake_node import FakeNode

from zmcache.core.ring import Member, Ring
from zmcache.core.wire import Limits
from zmcache.deadlines import Deadlines
from zmcache.discovery.base import Snapshot
from zmcache.errors import DiscoveryError
from zmcache.node.membership import HOLD_S, Membership, suddenly_gone
from zmcache.peers.mesh import Mesh
from zmcache.transport.memory import MemoryNetwork, MemoryTransport


def member(name: str, state: str = "serving") -> Member:
    return Member(name, f"mem://{name}", state=state)


class Watch:
    """A membership over fake nodes that answer pings, with a clock that a test moves."""

    def __init__(self, *alive: str) -> None:
        loop = asyncio.get_running_loop()
        self.network = MemoryNetwork()
        self.alive = [FakeNode(self.network, name) for name in alive]
        self.ahead_s = 0.0
        self.rings: list[set[str]] = []
        self.deadlines = Deadlines(loop)
        self.mesh = Mesh(
            MemoryTransport(self.network),
            Limits(),
            self.deadlines,
            self_id="me",
            on_epoch=lambda *_: None,
            clock=loop.time,
        )
        self.membership = Membership(
            self.mesh, "me", lambda: self.rings.append(self.names), clock=lambda: loop.time() + self.ahead_s
        )
        self.revision = 0

    @property
    def names(self) -> set[str]:
        return {m.node_id for m in self.mesh.ring.members}

    async def tell(self, *members: str | Member) -> None:
        self.revision += 1
        listed = tuple(m if isinstance(m, Member) else member(m) for m in ("me", *members))
        self.membership.on_snapshot(Snapshot(self.revision, listed))
        await self.membership.wait_ring()

    async def check(self) -> None:
        self.membership.check_held()
        await self.membership.wait_ring()

    async def aclose(self) -> None:
        await self.membership.aclose()
        self.mesh.close()
        self.deadlines.close()
        for fake in self.alive:
            fake.close()


def watch_test(test: Callable[[Watch], Coroutine[Any, Any, None]], *alive: str) -> None:
    async def main() -> None:
        watch = Watch(*alive)
        await test(watch)
        await watch.aclose()

    asyncio.run(main())


def test_members_that_join_and_single_ones_that_vanish_are_believed() -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "b", "c")
        assert watch.names == {"me", "a", "b", "c"}
        await watch.tell("a", "b")
        assert watch.names == {"me", "a", "b"}
        assert watch.membership.held == 0

    watch_test(test, "a", "b", "c")


def test_members_that_vanish_at_once_and_still_answer_stay_for_a_minute_and_no_longer() -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "b", "c")
        await watch.tell()
        assert watch.names == {"me", "a", "b", "c"}
        assert watch.membership.held == 3
        watch.ahead_s = HOLD_S - 5
        await watch.check()
        assert watch.names == {"me", "a", "b", "c"}
        watch.ahead_s = HOLD_S + 1
        await watch.check()
        assert watch.names == {"me"}
        assert watch.membership.held == 0

    watch_test(test, "a", "b", "c")


def test_members_that_vanish_at_once_and_do_not_answer_are_let_go() -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "dead", "gone")
        await watch.tell()

        def let_go() -> bool:
            watch.membership.check_held()
            return watch.names == {"me", "a"}

        await eventually(let_go)
        assert watch.membership.held == 1

    watch_test(test, "a")


def test_a_member_that_is_held_and_then_dies_is_let_go() -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "b")
        await watch.tell()
        await watch.check()
        assert watch.names == {"me", "a", "b"}
        await eventually(lambda: all(state.value == "up" for state in watch.mesh.states().values()))
        watch.network.cut("mem://a")

        def let_go() -> bool:
            watch.membership.check_held()
            return watch.names == {"me", "b"}

        await eventually(let_go)

    watch_test(test, "a", "b")


def test_a_member_that_vanished_while_a_ring_without_it_was_being_built_is_asked_before_it_is_held_for_long() -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "b", "c")
        watch.network.cut("mem://b")
        # One of four is believed; but before a ring without it is there, it is one of two that have gone since the last ring.
        watch.membership.on_snapshot(Snapshot(2, tuple(map(member, ("me", "a", "c")))))
        await asyncio.sleep(0)
        watch.membership.on_snapshot(Snapshot(3, tuple(map(member, ("me", "c")))))
        await watch.membership.wait_ring()
        assert watch.names == {"me", "a", "b", "c"}

        def let_go() -> bool:
            watch.membership.check_held()
            return watch.names == {"me", "a", "c"}

        await eventually(let_go)

    watch_test(test, "a", "b", "c")


def test_more_news_of_the_others_does_not_lengthen_the_minute() -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "b")
        await watch.tell()
        watch.ahead_s = HOLD_S / 2
        await watch.tell()
        await watch.check()
        assert watch.membership.held == 2
        watch.ahead_s = HOLD_S + 1
        await watch.check()
        assert watch.names == {"me"}

    watch_test(test, "a", "b")


def test_a_member_that_is_held_and_comes_back_is_an_ordinary_one_again() -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "b")
        await watch.tell()
        await watch.tell("a")
        assert watch.membership.held == 1
        watch.ahead_s = HOLD_S + 1
        await watch.check()
        assert watch.names == {"me", "a"}

    watch_test(test, "a", "b")


def test_those_who_said_that_they_leave_are_not_held() -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "b", "c")
        await watch.tell(member("a", "leaving"), member("b", "leaving"), "c")
        await watch.tell("c")
        assert watch.names == {"me", "c"}
        assert watch.membership.held == 0

    watch_test(test, "a", "b", "c")


def test_exactly_a_third_is_believed_and_one_more_is_doubted() -> None:
    members = tuple(member(name) for name in "abcdef")
    assert suddenly_gone(members, Snapshot(2, members[2:]), "f") == []
    assert suddenly_gone(members, Snapshot(2, members[3:]), "f") == list(members[:3])
    leaving = (*members[:3], *(m._replace(state="leaving") for m in members[3:]))
    assert suddenly_gone(leaving, Snapshot(2, leaving[:3]), "a") == []


def test_a_node_that_is_itself_forgotten_does_not_count_itself() -> None:
    members = tuple(member(name) for name in "abc")
    assert suddenly_gone(members, Snapshot(2, members[1:]), "a") == []


def test_snapshots_that_come_while_a_ring_is_built_end_in_the_latest() -> None:
    async def test(watch: Watch) -> None:
        for n in range(20):
            watch.revision += 1
            watch.membership.on_snapshot(Snapshot(watch.revision, (member("me"), member("a"), *map(member, f"{n:02}"))))
        await watch.membership.wait_ring()
        assert watch.mesh.ring.epoch.revision == 20
        assert watch.names == {"me", "a", "1", "9"}
        assert len(watch.rings) < 20

    watch_test(test, "a")


@pytest.fixture
def broken_ring(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception | None], None]:
    """Say what building a ring raises from now on; None: nothing."""
    build, raised = Ring.build, list[Exception]()

    def fake(*args: Any, **options: Any) -> Ring:
        if raised:
            raise raised[0]
        return build(*args, **options)

    def say(error: Exception | None) -> None:
        raised[:] = [] if error is None else [error]

    monkeypatch.setattr(Ring, "build", fake)
    return say


def test_a_start_whose_ring_cannot_be_built_fails_and_says_why(
    broken_ring: Callable[[Exception | None], None],
) -> None:
    async def test(watch: Watch) -> None:
        broken_ring(ValueError("too many points"))
        with pytest.raises(DiscoveryError, match=r"no ring can be built of 3 members: too many points"):
            await watch.tell("a", "b")
        broken_ring(None)
        await watch.tell("a", "b")
        assert watch.names == {"me", "a", "b"}

    watch_test(test, "a", "b")


def test_a_ring_that_cannot_be_built_later_leaves_the_last_one_and_is_logged_once_for_each_cause(
    broken_ring: Callable[[Exception | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    async def test(watch: Watch) -> None:
        await watch.tell("a", "b", "c")
        for error in (ValueError("too many points"), ValueError("too many points"), MemoryError()):
            broken_ring(error)
            await watch.tell("a", "b")
        assert watch.names == {"me", "a", "b", "c"}
        broken_ring(None)
        await watch.tell("a", "b")
        assert watch.names == {"me", "a", "b"}
        broken_ring(MemoryError())
        await watch.tell("a", "b", "c")

    with caplog.at_level(logging.ERROR, "zmcache.node"):
        watch_test(test, "a", "b", "c")
    reasons = [record.getMessage() for record in caplog.records]
    assert reasons == [
        "no ring can be built of 3 members: too many points; the last one stays",
        "no ring can be built of 3 members: MemoryError(); the last one stays",
        "no ring can be built of 4 members: MemoryError(); the last one stays",
    ]


def test_the_news_of_a_ring_counts_those_who_serve(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "zmcache.node"):
        watch_test(lambda watch: watch.tell("a", member("b", "leaving")), "a", "b")
    assert [record.getMessage() for record in caplog.records] == ["ring of 2 serving nodes, 1 leaving, at revision 1"]
