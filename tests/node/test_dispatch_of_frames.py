"""What a node does with the frames that come to it, good and bad, seen from the other end of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import msgpack
import pytest
from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test, took_less_than
from scripted_loader import value_of

from zmcache.core import wire
from zmcache.core.wire import Limits
from zmcache.errors import Busy, InvalidKey, InvalidTtl, PeerUnavailable, ProtocolError, UnknownGroup, ValueTooLarge
from zmcache.group import LocalGroup
from zmcache.node.late import Late
from zmcache.peers.batch import Batch
from zmcache.transport.memory import MemoryTransport


class Wire:
    """One connection to a node, frame by frame."""

    def __init__(self) -> None:
        self.connected = asyncio.Event()
        self.frames: list[Any] = []
        self.connection: Any = None
        self._ids = itertools.count(10**12)  # none that a mutated frame has

    def on_connected(self) -> None:
        self.connected.set()

    def on_disconnected(self, reason: str) -> None: ...

    def on_writable(self) -> None: ...

    def on_frame(self, frame: bytes) -> None:
        self.frames.append(wire.decode(frame, Limits(value_bytes=8 * 2**20)))

    def send(self, kind: int, *body: object, **changes: object) -> int:
        fields = {
            "version": wire.VERSION, "kind": kind, "request_id": next(self._ids), "deadline_ms": 3000,
            "revision": 0, "digest": 0, "flags": 0, "group": "items",
        } | changes  # fmt: skip
        self.raw(wire.sealed(msgpack.packb([*fields.values(), *body])))
        return fields["request_id"]  # type: ignore[return-value]  # it is one of ours

    def raw(self, frame: bytes) -> None:
        assert self.connection.send_nowait(frame)

    async def reply(self, request_id: int) -> Any:
        def found() -> Any:
            return next((frame for frame in self.frames if frame.request_id == request_id), None)

        await eventually(lambda: found() is not None)
        reply = found()
        self.frames.remove(reply)
        return reply

    async def ask(self, kind: int, *body: object, **changes: object) -> Any:
        return await self.reply(self.send(kind, *body, **changes))


@contextlib.asynccontextmanager
async def wired(cluster: Cluster, name: str = "a") -> AsyncIterator[Wire]:
    line = Wire()
    transport = MemoryTransport(cluster.network)
    line.connection = transport.connect(endpoint(name), line)
    await line.connected.wait()
    yield line
    transport.close()


def wire_test(test: Callable[[Cluster, Wire], Coroutine[Any, Any, None]], *names: str, **options: Any) -> None:
    async def main(cluster: Cluster) -> None:
        async with wired(cluster) as line:
            await test(cluster, line)

    mesh_test(main, *(names or ("a",)), **options)


async def serves(line: Wire) -> None:
    answer = await line.ask(wire.GET, ["still there"])
    assert answer.values == [value_of("still there")]


def test_hits_and_misses_of_one_request_are_answered_under_its_id() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        await cluster.group("a").set("here", b"hit", ttl=5)
        cluster.loaders["a"].gate.clear()
        request_id = line.send(wire.GET, ["missing", "here", "missing too"])
        first = await line.reply(request_id)
        assert (first.positions, first.values, first.statuses) == ([1], [b"hit"], bytes([wire.FROM_OWNER]))
        assert 0 < first.lives_ms[0] <= 5000
        cluster.loaders["a"].gate.set()
        second = await line.reply(request_id)
        assert (second.positions, second.values) == ([0, 2], [value_of("missing"), value_of("missing too")])
        assert set(second.statuses) == {wire.FROM_LOADER}
        assert second.lives_ms == [wire.FOREVER] * 2

    wire_test(test)


def test_what_was_begun_before_something_was_raised_is_answered_or_left_at_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    change, begin = LocalGroup.change, LocalGroup.begin

    def changes_but_one(self: LocalGroup, asked: Any, *args: Any, **more: Any) -> Any:
        assert asked.key != "boom"
        return change(self, asked, *args, **more)

    def begins_but_one(self: LocalGroup, key: str, *args: Any, **more: Any) -> Any:
        assert key != "boom"
        return begin(self, key, *args, **more)

    monkeypatch.setattr(LocalGroup, "change", changes_but_one)
    monkeypatch.setattr(LocalGroup, "begin", begins_but_one)

    async def test(cluster: Cluster, line: Wire) -> None:
        node, loader = cluster.nodes["a"], cluster.loaders["a"]
        raised: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: raised.append(context))
        keys = ["k1", "k2", "boom", "k3"]
        answer = await line.ask(wire.SET, keys, [b"v"] * 4, [wire.FOREVER] * 4, deadline_ms=100)
        await eventually(lambda: node.statistics()["late"] == 0)
        assert (answer.positions, answer.statuses) == ([0, 1], bytes([wire.DONE] * 2))
        loader.gate.clear()
        line.send(wire.GET, ["slow", "boom"], deadline_ms=1000)
        await eventually(lambda: loader.running == 1)
        assert node.statistics()["late"] == 2
        await eventually(lambda: node.statistics()["late"] == 0)
        await eventually(lambda: loader.running == 0)  # nobody waits for it
        loader.gate.set()
        await serves(line)

    wire_test(test)


def test_a_slow_load_does_not_hold_up_its_neighbours() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        blocked = asyncio.Event()

        async def answer(keys: list[str]) -> dict[str, bytes]:
            if keys == ["slow"]:
                await blocked.wait()
            return {key: value_of(key) for key in keys}

        cluster.loaders["a"].answer = answer
        cluster.loaders["a"].max_batch = 1
        request_id = line.send(wire.GET, ["slow", "quick"])
        assert (await line.reply(request_id)).positions == [1]
        blocked.set()
        assert (await line.reply(request_id)).positions == [0]

    wire_test(test)


def test_garbage_is_counted_and_the_next_request_is_answered() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        source = random.Random(7)
        good = wire.sealed(msgpack.packb([wire.VERSION, wire.GET, 5, 1000, 0, 0, 0, "items", ["k"]]))
        sent = 0
        for n in range(300):
            if n % 3 == 0:
                frame = source.randbytes(source.randrange(60))
            elif n % 3 == 1:
                frame = good[: source.randrange(len(good))]
            else:
                frame = b"\x91" * source.randrange(1, 5000)
            line.raw(frame)
            sent += 1
        await serves(line)
        statistics = cluster.nodes["a"].statistics()
        assert statistics["bad_frames"] == sent
        assert statistics["frames"] == sent + 1

    wire_test(test)


def test_mutated_requests_never_take_the_node_down() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        source = random.Random(11)
        head = [wire.VERSION, wire.GET, 5, 50, 0, 0, 0, "items"]
        requests = [
            wire.sealed(msgpack.packb([*head, ["k", "l"]])),
            wire.sealed(msgpack.packb([wire.VERSION, wire.SET, *head[2:], ["k"], [b"v"], [5]])),
            wire.sealed(msgpack.packb([wire.VERSION, wire.DELETE, *head[2:], ["k"]])),
            wire.sealed(msgpack.packb([wire.VERSION, wire.STATS, *head[2:]])),
        ]
        for _ in range(2000):
            frame = bytearray(source.choice(requests)[: -wire.SEAL_BYTES])
            for _ in range(source.randint(1, 4)):
                frame[source.randrange(len(frame))] = source.randrange(256)
            line.raw(wire.sealed(bytes(frame)))
            line.raw(bytes(frame))
        await serves(line)

    wire_test(test)


@pytest.mark.parametrize(
    ("kind", "body", "changes", "error"),
    [
        (wire.GET, [["k"]], {"version": 17}, ProtocolError),
        (99, [["k"]], {}, ProtocolError),
        (wire.ANSWER, [None, b"\x00", [b"v"], [0]], {}, ProtocolError),
        (wire.PONG, [], {}, ProtocolError),
        (wire.GET, [["k"]], {"group": "nobody's"}, UnknownGroup),
        (wire.SET, [["k"], [b"v"], [0]], {"group": "nobody's" * 100}, UnknownGroup),
        (wire.GET, [[""]], {}, InvalidKey),
        (wire.GET, [[]], {}, InvalidKey),
        (wire.GET, [["k" * 1025]], {}, InvalidKey),
        (wire.GET, [["é" * 600]], {}, InvalidKey),
        (wire.GET, [[f"k{n}" for n in range(1001)]], {}, InvalidKey),
        (wire.SET, [["k"], [b"v" * (2**20 + 1)], [0]], {}, ValueTooLarge),
        (wire.SET, [["k"], [b"v"], [-2]], {}, InvalidTtl),
        (wire.SET, [["k"], [b"v"], [2**62]], {}, InvalidTtl),
        (wire.SET, [["k"], [b"v"], [float("nan")]], {}, ProtocolError),
        (wire.SET, [["k"], [b"v"]], {}, ProtocolError),
        (wire.DELETE, [[["k"]]], {}, ProtocolError),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_by_its_id_and_the_next_one_is_served(
    kind: int, body: list[Any], changes: dict[str, Any], error: type[Exception]
) -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        reply = await line.ask(kind, *body, **changes)
        assert reply.kind == wire.REFUSAL
        assert reply.code == error.code  # type: ignore[attr-defined]  # each of them has one
        assert reply.message
        await serves(line)
        assert cluster.group("a").get_nowait("k") is None

    wire_test(test)


def test_a_newer_minor_version_with_more_fields_is_served() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        answer = await line.ask(wire.GET, ["k"], None, None, "something new", version=wire.VERSION + 3)
        assert answer.values == [value_of("k")]

    wire_test(test)


def test_answers_larger_than_a_message_come_in_parts_that_are_not() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        group = cluster.group("a")
        keys = [f"k{n}" for n in range(30)]
        for key in keys:
            await group.set(key, key.encode() * 10_000)
        for asked in (keys, [*keys, "missing"]):
            request_id = line.send(wire.GET, asked)
            found: dict[int, bytes] = {}
            while len(found) < len(asked):
                answer = await line.reply(request_id)
                assert len(wire.encode(answer)) <= 200_000
                positions = range(len(answer.values)) if answer.positions is None else answer.positions
                found |= dict(zip(positions, answer.values, strict=True))
            assert [found[at] for at in range(30)] == [key.encode() * 10_000 for key in keys]

    wire_test(test, limits=Limits(value_bytes=100_000, message_bytes=200_000))


def test_one_connection_that_asks_for_too_much_at_once_is_told_busy_and_the_others_are_served() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        cluster.loaders["a"].gate.clear()
        taken = line.send(wire.GET, [f"k{n}" for n in range(10)])
        refused = await line.ask(wire.GET, ["one more"])
        assert (refused.kind, refused.code) == (wire.REFUSAL, Busy.code)
        async with wired(cluster) as other:
            waiting = other.send(wire.GET, ["k0"])
            cluster.loaders["a"].gate.set()
            assert (await other.reply(waiting)).values == [value_of("k0")]
        assert len((await line.reply(taken)).values) == 10
        await serves(line)
        assert cluster.nodes["a"].statistics()["late"] == 0

    wire_test(test, limits=Limits(inflight_requests=10))


def test_what_nobody_waits_for_any_more_is_given_up_at_its_deadline() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        cluster.loaders["a"].gate.clear()
        while not cluster.loaders["a"].calls:  # one whose time is over when it is read begins no load
            line.send(wire.GET, ["k"], deadline_ms=30)
            await asyncio.sleep(0.03)
        await eventually(lambda: cluster.loaders["a"].cancelled == 1)
        await eventually(lambda: cluster.nodes["a"].statistics()["late"] == 0)
        assert line.frames == []
        cluster.loaders["a"].gate.set()
        await serves(line)

    wire_test(test)


def test_a_request_that_is_answered_is_kept_no_longer() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        await line.ask(wire.SET, ["k"], [b"v" * 1000], [0], deadline_ms=wire.MAX_DEADLINE_MS)
        await line.ask(wire.GET, ["missing"], deadline_ms=wire.MAX_DEADLINE_MS)
        theirs = cluster.key_of("b")
        assert await cluster.group("a").get(theirs, timeout=3000) == value_of(theirs)
        await asyncio.sleep(0)
        gc.collect()
        # By their types: what is lazy would be made if it were asked for its class.
        assert [thing for thing in gc.get_objects() if type(thing) is Late] == []
        # A peer's way to find the batch of this turn keeps the last one a kind, without its requests.
        assert sum(thing.unanswered for thing in gc.get_objects() if type(thing) is Batch) == 0

    wire_test(test, "a", "b")


def test_sets_and_deletes_over_the_wire_say_what_was_done_key_by_key() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        stored = await line.ask(wire.SET, ["a", "b"], [b"1", b"2"], [wire.TTL_DEFAULT, wire.FOREVER])
        assert (stored.positions, stored.statuses) == ([0, 1], bytes([wire.DONE] * 2))
        assert (await line.ask(wire.GET, ["a", "b"])).values == [b"1", b"2"]
        deleted = await line.ask(wire.DELETE, ["a", "nothing", "a"])
        assert deleted.statuses == bytes([wire.DONE, wire.NOT_THERE, wire.NOT_THERE])

    wire_test(test)


def test_a_value_larger_than_its_group_is_refused_and_nothing_is_lost() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        await line.ask(wire.SET, ["k"], [b"small"], [0])
        answer = await line.ask(wire.SET, ["k"], [b"v" * 200_000], [0])
        assert answer.statuses == bytes([ValueTooLarge.code])
        assert "items" in answer.values[0]
        assert (await line.ask(wire.GET, ["k"])).values == [b"small"]

    wire_test(test, budget_bytes=100_000)


def test_an_answer_says_when_the_node_does_not_own_the_key() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        ours, theirs = cluster.key_of("a"), cluster.key_of("b")
        epoch = cluster.nodes["a"].ring().epoch
        assert (await line.ask(wire.GET, [ours])).flags == 0
        answer = await line.ask(wire.GET, [theirs], flags=wire.FORWARDED)
        assert answer.flags & wire.NOT_OWNER
        assert (answer.revision, answer.digest) == epoch
        assert cluster.loaders["a"].loaded[theirs] == 1

    wire_test(test, "a", "b")


def test_a_node_that_is_starting_or_stopping_answers_pings_and_sends_requests_elsewhere() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        dispatcher = cluster.nodes["a"]._parts.dispatcher
        dispatcher.serving = False
        assert (await line.ask(wire.PING)).kind == wire.PONG
        refused = await line.ask(wire.GET, ["k"])
        assert (refused.kind, refused.code) == (wire.REFUSAL, PeerUnavailable.code)
        dispatcher.serving = True
        await serves(line)

    wire_test(test)


def test_topology_and_figures_are_told_to_whoever_asks() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        members = await line.ask(wire.TOPOLOGY)
        assert sorted(zip(members.node_ids, members.endpoints, strict=True)) == [("a", "mem://a"), ("b", "mem://b")]
        assert (members.revision, members.digest) == cluster.nodes["a"].ring().epoch
        await serves(line)
        figures = await line.ask(wire.STATS)
        assert figures.group == "a"
        found = dict(zip(figures.names, figures.figures, strict=True))
        assert found["requests"] == 1
        assert found["frames"] >= 3
        assert found["ring.members"] == 2
        assert {"group.items.hits", "group.items.loads", "peer.b.state"} <= found.keys()

    wire_test(test, "a", "b")


def test_a_thousand_requests_of_as_many_keys_are_each_answered_with_their_own_values() -> None:
    async def test(cluster: Cluster, line: Wire) -> None:
        ids = {line.send(wire.GET, [f"k{n % 97}", f"l{n}"]): n for n in range(1000)}
        found: dict[int, dict[int, bytes]] = {request_id: {} for request_id in ids}
        with took_less_than(5):
            await eventually(lambda: _collect(line, found))
        for request_id, n in ids.items():
            assert found[request_id] == {0: value_of(f"k{n % 97}"), 1: value_of(f"l{n}")}

    wire_test(test)


def _collect(line: Wire, found: dict[int, dict[int, bytes]]) -> bool:
    while line.frames:
        answer = line.frames.pop()
        positions = range(len(answer.values)) if answer.positions is None else answer.positions
        found[answer.request_id] |= dict(zip(positions, answer.values, strict=True))
    return all(len(values) == 2 for values in found.values())
