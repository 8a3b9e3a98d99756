"""A node that answers nonsense, twice, late or not at all: the client's callers get their own value or a clear error, never another's."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import msgpack
import pytest
from eventually import eventually
from fake_node import FakeNode, connected, fake_test
from mesh_fixture import took_less_than

from zmcache.cache import CacheGroup
from zmcache.client import make_client
from zmcache.core import wire
from zmcache.core.ring import Member
from zmcache.errors import (
    Busy,
    DeadlineExceeded,
    InvalidKey,
    LifecycleError,
    LoaderFailed,
    MeshError,
    OutcomeUnknown,
    PeerUnavailable,
    ProtocolError,
    UnknownGroup,
    ZmcacheError,
)
from zmcache.transport.memory import MemoryNetwork, MemoryTransport


def test_the_fake_node_serves_while_nothing_is_wrong() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        assert await items.get("k") == b"k"
        assert await items.get_many(["a", "b"]) == {"a": b"a", "b": b"b"}

    fake_test(test)


def test_answers_to_unknown_requests_and_second_answers_are_ignored() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        def handle(peer: bytes, request: Any) -> None:
            fake.answer(peer, request.request_id + 1000, b"a stranger's")
            fake.answer(peer, 0, b"nobody's")
            fake.echo(peer, request)
            fake.answer(peer, request.request_id, b"a second answer")

        fake.handle = handle
        for n in range(20):
            assert await items.get(f"k{n}") == f"k{n}".encode()

    fake_test(test)


def test_a_second_answer_to_one_position_does_not_replace_or_end_anything() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        def handle(peer: bytes, request: Any) -> None:
            fake.answer(peer, request.request_id, b"first", positions=[0])
            fake.answer(peer, request.request_id, b"again", positions=[0])
            fake.answer(peer, request.request_id, b"far away", positions=[900])
            fake.answer(peer, request.request_id, b"second", positions=[1])

        fake.handle = handle
        assert await items.get_many(["a", "b"]) == {"a": b"first", "b": b"second"}

    fake_test(test)


def test_garbage_in_between_harms_nobody() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        def handle(peer: bytes, request: Any) -> None:
            for garbage in (b"", b"\xc1", b"\x93\x01", wire.sealed(msgpack.packb([1, 2, 3])), b"x" * 5000):
                fake.send(peer, garbage)
            fake.echo(peer, request)

        fake.handle = handle
        assert await items.get_many([f"k{n}" for n in range(100)]) == {f"k{n}": f"k{n}".encode() for n in range(100)}

    fake_test(test)


def test_a_garbled_answer_to_a_request_fails_it_at_once_instead_of_leaving_it_to_its_deadline() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        header = (wire.VERSION, wire.ANSWER)
        fake.handle = lambda peer, request: fake.send(
            peer,
            wire.sealed(
                msgpack.packb([*header, request.request_id, 0, *fake.header, 0, "", None, b"\x00", ["text"], [0]])
            ),
        )
        with took_less_than(1.0), pytest.raises(ProtocolError):
            await items.get("k")
        fake.handle = fake.echo
        assert await items.get("k") == b"k"

    fake_test(test)


def _no_frame(fake: FakeNode) -> Any:
    return lambda peer, request: fake.send(peer, b"garbage!!")


def _wrong_kind(fake: FakeNode) -> Any:
    return lambda peer, request: fake.send_members(peer, request.request_id)


def _wrong_columns(fake: FakeNode) -> Any:
    head = (wire.VERSION, wire.ANSWER)
    return lambda peer, request: fake.send(
        peer, wire.sealed(msgpack.packb([*head, request.request_id, 0, 0, 0, 0, "", [9_999_999], b"\0", [5], [1]]))
    )


@pytest.mark.parametrize("garbage", [_no_frame, _wrong_kind, _wrong_columns])
def test_where_errors_are_misses_a_node_that_answers_with_garbage_is_a_cache_that_is_away(garbage: Any) -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = garbage(fake)
        calls: list[Any] = [
            lambda: items.get("k", b"default"), lambda: items.fetch("k"), lambda: items.gets("k"), lambda: items.get_many(["a", "b"]),
            lambda: items.get_many([f"k{n}" for n in range(40)]), lambda: items.set("k", b"v"), lambda: items.set_many({"k": b"v"}),
            lambda: items.add("k", b"v"), lambda: items.touch("k"), lambda: items.incr("k"), lambda: items.cas("k", b"v", 1),
            lambda: items.delete("k"), lambda: items.delete_many(["k"]), lambda: items.get_or_set("k", lambda: b"made"), items.clear,
        ]  # fmt: skip
        told = [await call() for call in calls]
        assert told == [
            b"default", None, None, {}, {}, None, ["k"], False, False, None, None, False, 0, b"made", None,
        ]  # fmt: skip
        # After the first few it is not even asked: the same once more takes no time at all.
        with took_less_than(0.1):
            for call in calls:
                await call()

    fake_test(test, on_error="miss", timeout=0.05)


def test_what_must_be_done_once_and_is_answered_with_garbage_may_have_been_done() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = _wrong_kind(fake)
        with pytest.raises(OutcomeUnknown) as raised:
            await items.add("k", b"v")
        assert isinstance(raised.value.__cause__, ProtocolError)
        fake.handle = lambda peer, request: fake.answer(peer, request.request_id, b"no number")
        with pytest.raises(ProtocolError):
            await items.incr("k")

    fake_test(test)


def test_an_answer_of_another_kind_fails_the_request_at_once() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.send_members(peer, request.request_id)
        with took_less_than(1.0), pytest.raises(ProtocolError):
            await items.get("k")

    fake_test(test)


@pytest.mark.parametrize("code", [33, 36, 37, 65, 66, 98, 99, 128, 255, 4000, -5])
def test_a_refusal_reaches_the_callers_as_the_error_it_stands_for(code: int) -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.send(
            peer,
            wire.encode(
                wire.Refusal(wire.VERSION, wire.REFUSAL, request.request_id, 0, *fake.header, 0, "", code, "why")
            ),
        )
        with pytest.raises(ZmcacheError, match="why") as caught:
            await items.get("k")
        if code in (33, 36, 37, 65, 66, 98, 99, 128, 255):
            assert caught.value.code == code

    fake_test(test)


def test_each_key_gets_its_own_error() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.answer(
            peer, request.request_id, (65, "loader"), (98, "busy"), (wire.NO_SUCH_KEY, None), b"value"
        )
        results = await asyncio.gather(*[items.get(key, b"none") for key in "abcd"], return_exceptions=True)
        assert [type(result) for result in results[:2]] == [LoaderFailed, Busy]
        assert results[2:] == [b"none", b"value"]

    fake_test(test)


def test_one_answer_may_come_in_parts_and_each_caller_has_its_own_as_soon_as_it_comes() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: None
        first, second = asyncio.create_task(items.get("a")), asyncio.create_task(items.get("b"))
        await eventually(lambda: bool(fake.requests))
        peer, request = fake.requests[0]
        fake.answer(peer, request.request_id, b"B", positions=[1])
        assert await second == b"B"
        assert not first.done()
        fake.answer(peer, request.request_id, b"A", positions=[0])
        assert await first == b"A"

    fake_test(test)


def test_what_one_turn_asks_travels_in_one_message_and_a_key_only_once() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        calls = [items.get(f"k{n % 10}") for n in range(100)]
        assert await asyncio.gather(*calls) == [f"k{n % 10}".encode() for n in range(100)]
        assert [request.keys for _, request in fake.requests] == [[f"k{n}" for n in range(10)]]

    fake_test(test)


def test_who_asks_while_a_key_is_being_asked_for_shares_the_answer() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: None
        calls = [asyncio.create_task(items.get("k"))]
        await eventually(lambda: bool(fake.requests))
        calls += [asyncio.create_task(items.get("k")) for _ in range(50)]
        await asyncio.sleep(0)
        calls[0].cancel()
        calls[7].cancel()
        fake.answer(*_only(fake), b"shared")
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert [n for n, result in enumerate(results) if result != b"shared"] == [0, 7]
        assert len(fake.requests) == 1

    fake_test(test)


def test_a_call_ends_by_its_deadline_and_the_late_answer_is_nobodys() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: None
        with took_less_than(0.1 + 0.05), pytest.raises(DeadlineExceeded):
            await items.get("k", timeout=0.1)
        fake.answer(*_only(fake), b"late")
        fake.handle = fake.echo
        assert await items.get("k") == b"k"

    fake_test(test)


@pytest.mark.parametrize("first_s", [0.1, 0.5])
@pytest.mark.parametrize("second_s", [0.1, 0.5])
def test_callers_of_one_key_each_end_by_their_own_deadline(first_s: float, second_s: float) -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: None

        async def call(timeout: float) -> None:
            with took_less_than(timeout + 0.05), pytest.raises(DeadlineExceeded):
                await items.get("k", timeout=timeout)

        await asyncio.gather(call(first_s), call(second_s))

    fake_test(test)


def test_who_joined_with_more_time_is_asked_for_again_when_the_first_callers_time_is_up() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: None
        first = asyncio.create_task(items.get("k", timeout=0.05))
        second = asyncio.create_task(items.get("k", timeout=2.0))
        with pytest.raises(DeadlineExceeded):
            await first
        await eventually(lambda: len(fake.requests) == 2)
        peer, request = fake.requests[1]
        fake.echo(peer, request)
        assert await second == b"k"

    fake_test(test)


def test_deadlines_are_kept_when_the_request_had_to_be_asked_again_elsewhere() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        members = [Member("fake", "mem://fake"), Member("other", "mem://other")]
        nodes = {name: FakeNode(network, name, members=members) for name in ("fake", "other")}
        async with connected(network) as client:
            items = client.group("items")
            key, alone = [f"k{n}" for n in range(100) if client.ring().owner(f"k{n}").node_id == "fake"][:2]

            async def call(key: str, timeout: float) -> None:
                with took_less_than(timeout + 0.05), pytest.raises(DeadlineExceeded):
                    await items.get(key, timeout=timeout)

            # The one key has a second caller with more time; neither its first caller nor its neighbour may wait as long.
            calls = [
                asyncio.create_task(call(key, 0.3)),
                asyncio.create_task(call(alone, 0.3)),
                asyncio.create_task(call(key, 0.8)),
            ]
            await eventually(lambda: bool(nodes["fake"].requests))
            network.cut("mem://fake")
            await eventually(lambda: bool(nodes["other"].requests))
            await asyncio.gather(*calls)

    asyncio.run(main())


def test_a_write_that_is_asked_again_elsewhere_is_still_the_owners_for_whoever_can_reach_it() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        members = [Member("fake", "mem://fake"), Member("other", "mem://other")]
        fake, other = (FakeNode(network, name, members=members) for name in ("fake", "other"))
        other.handle = lambda peer, request: fake_done(other, peer, request)

        def fake_done(node: FakeNode, peer: bytes, request: Any) -> None:
            node.answer(peer, request.request_id, *[(wire.DONE, None)] * len(request.keys))

        async with connected(network) as client:
            items = client.group("items")
            key = next(k for k in (f"k{n}" for n in range(100)) if client.ring().owner(k).node_id == "fake")
            for write in (lambda: items.set(key, b"v"), lambda: items.delete(key)):
                call = asyncio.create_task(write())
                await eventually(lambda: bool(fake.requests))
                fake.requests.clear()
                network.cut("mem://fake")
                await call
                await eventually(lambda: len(other.requests) == 1)
                # It may be that only this client cannot reach the owner: the stand-in is to pass the write on if it can.
                assert other.requests.pop()[1].flags == 0
                network.heal("mem://fake")
                await eventually(lambda: all(s.value == "up" for s in client._mesh.states().values()))  # type: ignore[union-attr]

    asyncio.run(main())


def test_a_node_that_answers_that_it_is_stopping_is_asked_no_longer_and_the_next_one_is() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        members = [Member("fake", "mem://fake"), Member("other", "mem://other")]
        fake, other = (FakeNode(network, name, members=members) for name in ("fake", "other"))
        fake.handle = lambda peer, request: fake.answer(
            peer, request.request_id, *[(PeerUnavailable.code, "stopping")] * len(request.keys)
        )
        other.handle = other.echo
        async with connected(network) as client:
            keys = [f"k{n}" for n in range(50)]
            assert await client.group("items").get_many(keys) == {key: key.encode() for key in keys}
        assert len(fake.requests) == 1
        assert len(other.requests) == 2

    asyncio.run(main())


@pytest.mark.parametrize("call", ["get", "set", "incr"])
def test_why_every_node_sends_askers_on_is_told_in_its_own_words(call: str) -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)
        fake.handle = lambda peer, request: fake.answer(
            peer,
            request.request_id,
            *[(PeerUnavailable.code, "no holder can be reached from here")] * len(request.keys),
        )
        async with connected(network) as client:
            items = client.group("items")
            value = (b"v",) if call == "set" else ()
            with pytest.raises(PeerUnavailable, match=r"^fake: no holder can be reached from here$"):
                await getattr(items, call)("k", *value)

    asyncio.run(main())


def test_through_any_node_those_learnt_of_stand_in_for_given_ones_that_cannot_be_reached() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        members = [Member("fake", "mem://fake"), Member("other", "mem://other")]
        fake, other = (FakeNode(network, name, members=members) for name in ("fake", "other"))
        fake.handle, other.handle = fake.echo, other.echo
        async with connected(network, route="any") as client:
            items = client.group("items")
            assert await items.get("k") == b"k"
            network.cut("mem://fake")
            assert [await items.get(f"k{n}") for n in range(5)] == [f"k{n}".encode() for n in range(5)]
            network.heal("mem://fake")
            await eventually(lambda: client._mesh.contact("mem://fake").usable)  # type: ignore[union-attr]
            before = len(fake.requests)
            assert await items.get("again") == b"again"
            assert len(fake.requests) == before + 1

    asyncio.run(main())


def test_a_set_and_a_delete_say_what_was_done() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.answer(peer, request.request_id, (wire.DONE, None))
        await items.set("k", b"v", ttl=1.5)
        assert await items.delete("k") is True
        fake.handle = lambda peer, request: fake.answer(peer, request.request_id, (wire.NOT_THERE, None))
        assert await items.delete("k") is False
        (_, stored), *_ = fake.requests
        assert (stored.keys, stored.values, stored.ttls_ms) == (["k"], [b"v"], [1500])
        fake.handle = lambda peer, request: fake.answer(peer, request.request_id, (UnknownGroup.code, "no such group"))
        with pytest.raises(UnknownGroup):
            await items.set("k", b"v")

    fake_test(test)


def test_sets_of_one_turn_are_split_so_that_no_message_is_too_large() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.answer(
            peer, request.request_id, *[(wire.DONE, None)] * len(request.keys)
        )
        big = b"v" * 2**20
        await asyncio.gather(*[items.set(f"k{n}", big) for n in range(20)])
        assert sum(len(request.keys) for _, request in fake.requests) == 20
        assert len(fake.requests) >= 3

    fake_test(test)


def test_two_thousand_five_hundred_keys_are_split_by_the_client() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        for count, sizes in ((1001, [1000, 1]), (2500, [1000, 1000, 500])):
            fake.requests.clear()
            keys = [f"k{n}" for n in range(count)]
            assert await items.get_many(keys) == {key: key.encode() for key in keys}
            assert [len(request.keys) for _, request in fake.requests] == sizes

    fake_test(test)


def test_a_message_that_the_transport_cannot_take_fails_its_own_callers_and_nobody_else() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)
        fake.handle = fake.echo
        small = MemoryTransport(network, max_message_bytes=2000)
        async with make_client("mem://fake", lambda: small) as client:
            items = client.group("items")
            with took_less_than(1.0), pytest.raises(ZmcacheError):
                await items.set("k", b"v" * 3000)
            assert await items.get("k") == b"k"

    asyncio.run(main())


def test_topologies_that_make_no_sense_are_not_adopted_and_the_ring_that_works_stays() -> None:
    nonsense: list[list[Any]] = [
        [],
        [[b"bytes"], ["mem://fake"], [1.0], [""], ["serving"]],
        [["fake"], ["mem://fake"], [float("nan")], [""], ["serving"]],
        [["fake"], ["mem://fake"], [0], [""], ["serving"]],
        [["fake", "fake"], ["mem://fake", "mem://other"], [1.0, 1.0], ["", ""], ["serving", "serving"]],
        [[], [], [], [], []],
        [["fake"], ["not an address"], [1.0], [""], ["serving"]],
        [["fake"], [""], [1.0], [""], ["serving"]],
        [["fake"], ["mem://fake"], [1e9], [""], ["serving"]],
    ]

    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        for columns in nonsense:
            fake.revision += 1
            fake.topology = lambda peer, request_id, columns=columns: fake.send(  # type: ignore[misc]
                peer,
                wire.sealed(
                    msgpack.packb([wire.VERSION, wire.MEMBERS, request_id, 0, fake.revision, 5, 0, "", *columns])
                ),
            )
            asked = fake.queries
            with contextlib.suppress(ZmcacheError):
                await items.get("k")  # its answer carries another epoch, so the client asks for the topology
            await eventually(lambda asked=asked: fake.queries > asked)
            for _ in range(5):
                with took_less_than(1.0), contextlib.suppress(MeshError):
                    await items.get("k")
        # And when sense returns, so does the client.
        fake.revision += 1
        fake.topology = fake.send_members
        await eventually(lambda: items._raw.behind._asking._route.mesh.ring.epoch.revision == fake.revision)
        assert await items.get("k") == b"k"

    fake_test(test)


def test_requests_in_flight_to_members_that_leave_together_are_asked_of_those_that_stay() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        members = [Member(name, f"mem://{name}") for name in ("stays", "left", "gone")]
        nodes = {member.node_id: FakeNode(network, member.node_id, members=members) for member in members}
        stays = nodes["stays"]
        stays.handle = stays.echo
        async with connected(network, "mem://stays") as client:
            items = client.group("items")
            keys = [f"k{n}" for n in range(100)]
            call = asyncio.create_task(items.get_many(keys))
            await eventually(lambda: all(node.requests for node in nodes.values()))
            stays.members, stays.revision = members[:1], 2
            # Its next answer tells the client, which closes two channels at once.
            assert await items.get(next(k for k in keys if client.ring().owner(k).node_id == "stays")) is not None
            with took_less_than(2.0):
                assert await call == {key: key.encode() for key in keys}

    asyncio.run(main())


def test_of_two_rings_of_one_revision_the_one_without_the_vanished_members_is_adopted() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        members = [Member(name, f"mem://{name}") for name in ("fake", "gone", "lost")]
        fake = FakeNode(network, members=members)
        fake.handle = fake.echo
        async with connected(network) as client:
            assert len(client.ring().members) == 3
            # The node held those who vanished, and lets go of them now: same revision, another ring.
            fake.members = members[:1]
            key = next(k for k in (f"k{n}" for n in range(100)) if client.ring().owner(k).node_id == "fake")
            assert await client.group("items").get(key) == key.encode()
            await eventually(lambda: len(client.ring().members) == 1)
            keys = [f"k{n}" for n in range(20)]
            assert await client.group("items").get_many(keys) == {key: key.encode() for key in keys}

    asyncio.run(main())


@pytest.mark.parametrize("other_revision", [1, 0])
def test_an_older_topology_is_adopted_only_where_nobody_has_one_as_new_as_ours(
    other_revision: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zmcache.client.client._REFRESH_IDLE_S", 0.02)

    async def main() -> None:
        network = MemoryNetwork()
        members = [Member("fake", "mem://fake"), Member("other", "mem://other")]
        fake, other = (FakeNode(network, name, members=members) for name in ("fake", "other"))
        fake.handle, other.handle = fake.echo, other.echo
        async with connected(network) as client:
            items = client.group("items")
            fake.revision, other.revision = 0, other_revision
            fake.members = [*members, Member("third", "mem://third")]
            if other_revision == 0:
                # As after etcd has lost its data: all count from the beginning again.
                other.members = fake.members
            asked = fake.queries + other.queries
            while fake.queries + other.queries < asked + 3:
                for n in range(20):
                    assert await items.get(f"k{n}") == f"k{n}".encode()
                await asyncio.sleep(0)
            if other_revision == 0:
                await eventually(lambda: len(client.ring().members) == 3)
            else:
                assert len(client.ring().members) == 2

    asyncio.run(main())


def test_closing_fails_calls_under_way_and_later_calls_say_that_the_client_is_closed() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        fake = FakeNode(network)
        async with connected(network) as client:
            items = client.group("items")
            call = asyncio.create_task(items.get("k"))
            await eventually(lambda: bool(fake.requests))
        with pytest.raises(PeerUnavailable):
            await call
        with took_less_than(0.5), pytest.raises(ZmcacheError, match=r"closed|open"):
            await items.get("k")

    asyncio.run(main())


def test_a_get_many_that_is_cancelled_half_way_leaves_no_error_unseen() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.answer(peer, request.request_id, (65, "failed"), positions=[1])
        call = asyncio.create_task(items.get_many(["a", "b"]))
        await eventually(lambda: bool(fake.requests))
        for _ in range(5):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    fake_test(test)


@pytest.mark.parametrize("key", ["", "k" * 1025, "é" * 513, "\ud800", b"bytes", None, 5, ["list"]])
def test_a_key_that_cannot_be_one_is_refused_before_anything_is_sent(key: Any) -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        for call in (items.get, items.fetch, items.delete):
            with pytest.raises(InvalidKey):
                await call(key)
        with pytest.raises(InvalidKey):
            await items.set(key, b"v")
        with pytest.raises(InvalidKey):
            await items.get_many(["good", key])
        assert fake.requests == []

    fake_test(test)


def _only(fake: FakeNode) -> tuple[bytes, int]:
    ((peer, request),) = fake.requests
    return peer, request.request_id


def test_a_group_used_in_another_event_loop_says_so_and_goes_on_in_its_own() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        async def elsewhere() -> None:
            for call in (
                items.get("k"),
                items.get_many([f"k{n}" for n in range(40)]),
                items.set("k", b"v"),
                items.delete("k"),
            ):
                with pytest.raises(LifecycleError, match="another event loop"):
                    await call

        await asyncio.to_thread(asyncio.run, elsewhere())
        assert await items.get("k") == b"k"

    fake_test(test)
