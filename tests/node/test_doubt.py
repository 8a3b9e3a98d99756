"""Whom a node that doubts what it holds has heard, and whom it has not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from zmcache.core.ring import JOINING, SERVING, Epoch, Member, Ring
from zmcache.core.wire import Limits
from zmcache.deadlines import Deadlines
from zmcache.errors import Busy, UnknownGroup, ZmcacheError
from zmcache.node import handover as handover_module
from zmcache.node.doubt import Doubt
from zmcache.node.handover import Handover
from zmcache.peers.mesh import Mesh
from zmcache.transport.memory import MemoryNetwork, MemoryTransport


def ring(revision: int, names: str, joining: str = "") -> Ring:
    members = [
        Member(node_id=name, endpoint=f"mem://{name}", state=JOINING if name in joining else SERVING) for name in names
    ]
    return Ring.build(members, revision)


def doubt_test(test: Callable[[Mesh, Doubt], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        transport = MemoryTransport(MemoryNetwork())
        mesh = Mesh(transport, Limits(), Deadlines(loop), self_id="b", on_epoch=lambda *_: None)
        mesh.copies = {"items": 2}
        doubt = Doubt(mesh, "b")
        await test(mesh, doubt)
        doubt.close()
        mesh.close()

    asyncio.run(main())


def test_a_word_that_comes_before_it_is_waited_for_is_one_of_all() -> None:
    async def test(mesh: Mesh, doubt: Doubt) -> None:
        mesh.adopt(ring(1, "ac"), ring(2, "abc", joining="b"))
        doubt.handed("a", 0)
        doubt.begin(0.05, lambda: None, ask=False)
        await doubt.wait_over()
        mesh.adopt(ring(3, "abc"))
        assert mesh.known_ring is not mesh.ring, "c has said nothing"

    doubt_test(test)


@pytest.mark.parametrize(("error", "is_heard"), [(Busy("too much is in flight"), False), (UnknownGroup("b"), True)])
def test_who_was_too_busy_to_be_asked_has_not_been_heard(error: ZmcacheError, is_heard: bool) -> None:
    async def test(mesh: Mesh, doubt: Doubt) -> None:
        mesh.adopt(ring(1, "bc"))
        mesh.adopt(ring(2, "abc"))
        for peer in "ac":
            channel = mesh.channel_of(peer)
            assert channel is not None
            answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            answer.set_exception(error)
            channel.query = lambda *_, answer=answer, **__: answer  # type: ignore[method-assign]
        doubt.begin(5.0, lambda: None)
        await doubt.wait_over()
        assert (mesh.known_ring is mesh.ring) == is_heard

    doubt_test(test)


def test_who_asks_anew_by_a_newer_ring_is_waited_for_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    waits_s = 1.0
    monkeypatch.setattr(handover_module, "_RINGS_AGREE_S", waits_s)

    async def test(mesh: Mesh, _: Doubt) -> None:
        mesh.adopt(ring(1, "abc"))
        handover = Handover(mesh, {}, "b", rate_bytes=1e6)
        clock = asyncio.get_running_loop().time
        told: list[tuple[int | None, float]] = []
        all_told = asyncio.Event()

        def on_peer_back(peer: str, *, tell: int | None = None) -> None:
            told.append((tell, clock()))
            all_told.set()

        monkeypatch.setattr(handover, "on_peer_back", on_peer_back)
        for number in range(12):
            handover.on_doubt("a", number, Epoch(2 + number, 7))
            asked_s = clock()
            await asyncio.sleep(waits_s / 10)
        async with asyncio.timeout(20):
            await all_told.wait()
        assert [number for number, _ in told] == [11]
        assert told[0][1] - asked_s >= waits_s - 0.01
        await handover.aclose()

    doubt_test(test)
