"""A get_many of many keys is one thing on the way, and for its callers still each key by itself: shared, fenced, failed and expired alone."""

from __future__ import annotations

import asyncio
import gc
import random
from typing import Any

import pytest
from eventually import eventually
from fake_node import FakeNode, connected, fake_test
from mesh_fixture import took_less_than

from zmcache.cache import CacheGroup
from zmcache.client.bulk import UNLISTED_MOST, Bulk
from zmcache.core import wire
from zmcache.errors import DeadlineExceeded, InvalidKey, LoaderFailed, PartialResult, PeerUnavailable
from zmcache.transport.memory import MemoryNetwork

KEYS = [f"k{n}" for n in range(40)]
ALL = {key: key.encode() for key in KEYS}


def silent(peer: bytes, request: Any) -> None:
    """A ``handle`` that keeps the request for later."""


def test_all_keys_travel_in_one_message_and_come_back_in_the_order_asked() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        shuffled = random.Random(1).sample(KEYS, len(KEYS))
        assert list((await items.get_many(shuffled)).items()) == [(key, key.encode()) for key in shuffled]
        assert [request.keys for _, request in fake.requests] == [shuffled]

    fake_test(test)


def test_who_asks_for_one_of_the_keys_meanwhile_shares_it_and_it_is_free_again_afterwards() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = silent
        many = asyncio.create_task(items.get_many(KEYS))
        await eventually(lambda: bool(fake.requests))
        one, other = asyncio.create_task(items.get("k7")), asyncio.create_task(items.get_many(["k8", *KEYS[30:]]))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        peer, request = fake.requests[0]
        fake.echo(peer, request)
        assert await many == ALL
        assert await one == b"k7"
        assert await other == {key: key.encode() for key in ["k8", *KEYS[30:]]}
        assert len(fake.requests) == 1
        fake.handle = fake.echo
        assert await items.get("k7") == b"k7"
        assert len(fake.requests) == 2

    fake_test(test)


def test_who_asks_after_a_set_does_not_share_what_was_asked_before_it() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = silent
        many = asyncio.create_task(items.get_many(KEYS))
        await eventually(lambda: len(fake.requests) == 1)
        written = asyncio.create_task(items.set("k7", b"new"))
        await eventually(lambda: len(fake.requests) == 2)
        fake.answer(fake.requests[1][0], fake.requests[1][1].request_id, (wire.DONE, None))
        await written
        later = asyncio.create_task(items.get("k7"))
        await eventually(lambda: len(fake.requests) == 3)
        fake.echo(*fake.requests[0])
        assert await many == ALL
        fake.answer(fake.requests[2][0], fake.requests[2][1].request_id, b"new")
        assert await later == b"new"

    fake_test(test)


def test_of_many_who_ask_for_the_same_keys_all_but_a_few_share_what_is_under_way() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = silent
        many = [asyncio.create_task(items.get_many(KEYS)) for _ in range(3 * UNLISTED_MOST)]
        await eventually(lambda: bool(fake.requests))
        for _ in range(3):
            await asyncio.sleep(0)
        assert len(fake.requests) == UNLISTED_MOST
        for peer, request in fake.requests:
            fake.echo(peer, request)
        assert await asyncio.gather(*many) == [ALL] * len(many)
        fake.handle = fake.echo
        assert await items.get("k7") == b"k7"
        assert len(fake.requests) == UNLISTED_MOST + 1

    fake_test(test)


def test_a_get_many_goes_out_behind_what_was_asked_before_it_in_the_same_turn() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = silent
        calls = items.set("k7", b"new"), items.get_many(KEYS), items.get("k50")
        asked = [asyncio.create_task(call) for call in calls]
        await eventually(lambda: len(fake.requests) == 3)
        assert [request.kind for _, request in fake.requests] == [wire.SET, wire.GET, wire.GET]
        fake.answer(fake.requests[0][0], fake.requests[0][1].request_id, (wire.DONE, None))
        for peer, request in fake.requests[1:]:
            fake.echo(peer, request)
        assert await asyncio.gather(*asked) == [None, ALL, b"k50"]

    fake_test(test)


def test_a_set_fences_every_get_many_that_is_under_way_also_where_they_overlap() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = silent
        first, second = (asyncio.create_task(items.get_many(keys)) for keys in (KEYS, KEYS[5:30]))
        await eventually(lambda: len(fake.requests) == 2)
        written = asyncio.create_task(items.set("k7", b"new"))
        await eventually(lambda: len(fake.requests) == 3)
        fake.answer(fake.requests[2][0], fake.requests[2][1].request_id, (wire.DONE, None))
        await written
        other, later = asyncio.create_task(items.get("k8")), asyncio.create_task(items.get("k7"))
        await eventually(lambda: len(fake.requests) == 4)
        assert fake.requests[3][1].keys == ["k7"]
        for peer, request in fake.requests[:2]:
            fake.echo(peer, request)
        assert await first == ALL
        assert await second == {key: key.encode() for key in KEYS[5:30]}
        assert await other == b"k8"
        fake.answer(fake.requests[3][0], fake.requests[3][1].request_id, b"new")
        assert await later == b"new"

    fake_test(test)


def test_nobody_joins_a_get_many_that_was_cancelled() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = silent
        many = asyncio.create_task(items.get_many(KEYS))
        await eventually(lambda: len(fake.requests) == 1)
        many.cancel()
        with pytest.raises(asyncio.CancelledError):
            await many
        one = asyncio.create_task(items.get("k7"))
        await eventually(lambda: wire.GET in [request.kind for _, request in fake.requests[1:]])
        fake.echo(*fake.requests[0])  # too late, and for nobody
        await asyncio.sleep(0)
        assert not one.done()
        fake.handle = fake.echo
        fake.echo(*next(asked for asked in fake.requests[1:] if asked[1].kind == wire.GET))
        assert await one == b"k7"

    fake_test(test)


def test_nothing_of_an_answered_get_many_waits_for_a_garbage_collection() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        gc.disable()
        try:
            for _ in range(3):
                assert await items.get_many(KEYS) == ALL
            assert not [each for each in gc.get_objects() if type(each) is Bulk]
        finally:
            gc.enable()

    fake_test(test)


class OtherText(str):
    """What may compare, hash and encode as it likes."""

    __slots__ = ()


@pytest.mark.parametrize("wrong", [b"k", None, 7, [], "", "k" * 1025, "\u00e9" * 513, "\ud800", OtherText("k")])
def test_one_wrong_key_among_many_is_refused_before_anything_is_sent(wrong: Any) -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        for at in (0, 20, 40):
            with pytest.raises(InvalidKey):
                await items.get_many([*KEYS[:at], wrong, *KEYS[at:]])
        assert not fake.requests

    fake_test(test)


def test_keys_are_asked_for_once_each_however_long_they_are_together_and_whatever_their_letters() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        for keys in (["k" * 1024, *KEYS], [key + "x" * 100 for key in KEYS], ["\u00e9" * 512, *KEYS], ["", *KEYS][1:]):
            fake.requests.clear()
            assert await items.get_many(iter([*keys, *reversed(keys)])) == {key: key.encode() for key in keys}
            assert [request.keys for _, request in fake.requests] == [keys]
        assert await items.get_many([]) == {}

    fake_test(test)


def test_a_cancelled_get_many_takes_nobody_with_it_whether_the_answer_is_whole_or_not() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        for whole in (True, False):
            fake.requests.clear()
            fake.handle = silent
            many = asyncio.create_task(items.get_many(KEYS))
            await eventually(lambda: bool(fake.requests))
            one = asyncio.create_task(items.get("k7"))
            await asyncio.sleep(0)
            many.cancel()
            with pytest.raises(asyncio.CancelledError):
                await many
            peer, request = fake.requests[0]
            if whole:
                fake.echo(peer, request)
            else:
                fake.answer(peer, request.request_id, b"k7", positions=[7])
            assert await one == b"k7"
            fake.handle = fake.echo
            assert await items.get("k9", timeout=0.5) == b"k9"

    fake_test(test, timeout=0.3)


def test_keys_that_are_missing_or_fail_or_come_later_are_told_apart() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        def handle(peer: bytes, request: Any) -> None:
            rows = [
                (wire.NO_SUCH_KEY, None)
                if n % 10 == 3
                else (LoaderFailed.code, "no backend")
                if n % 10 == 4
                else key.encode()
                for n, key in enumerate(request.keys)
            ]
            fake.answer(peer, request.request_id, *rows[20:], positions=list(range(20, 40)))
            asyncio.get_running_loop().call_soon(
                lambda: fake.answer(peer, request.request_id, *rows[:20], positions=list(range(20)))
            )

        fake.handle = handle
        with pytest.raises(PartialResult) as caught:
            await items.get_many(KEYS)
        assert list(caught.value.values) == [key for n, key in enumerate(KEYS) if n % 10 not in (3, 4)]
        assert list(caught.value.errors) == [key for n, key in enumerate(KEYS) if n % 10 == 4]
        assert all(isinstance(error, LoaderFailed) for error in caught.value.errors.values())

    fake_test(test)


def test_misses_in_a_whole_answer_are_left_out() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.answer(
            peer, request.request_id, *[(wire.NO_SUCH_KEY, None), *[key.encode() for key in request.keys[1:]]]
        )
        assert await items.get_many(KEYS) == {key: key.encode() for key in KEYS[1:]}

    fake_test(test)


@pytest.mark.parametrize("timeout", [None, 0.1])
def test_at_the_deadline_each_missing_key_fails_and_who_joined_with_more_time_is_asked_for_again(
    timeout: float | None,
) -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        fake.handle = lambda peer, request: fake.answer(peer, request.request_id, b"k0", b"k1", positions=[0, 1])
        many = asyncio.create_task(items.get_many(KEYS, timeout=timeout))
        await eventually(lambda: bool(fake.requests))
        patient = asyncio.create_task(items.get("k7", timeout=2.0))
        with took_less_than(0.5), pytest.raises(PartialResult) as caught:
            await many
        assert caught.value.values == {"k0": b"k0", "k1": b"k1"}
        assert {type(error) for error in caught.value.errors.values()} == {DeadlineExceeded}
        fake.handle = fake.echo
        await eventually(lambda: len(fake.requests) == 2)
        peer, request = fake.requests[1]
        assert request.keys == ["k7"]
        fake.echo(peer, request)
        assert await patient == b"k7"

    fake_test(test, timeout=0.1)


def test_when_the_node_is_gone_all_are_asked_once_more_elsewhere() -> None:
    async def main() -> None:
        network = MemoryNetwork()
        first, second = FakeNode(network, "first"), FakeNode(network, "second")
        for fake in (first, second):
            fake.members = [first.members[0], second.members[0]]
            fake.handle = fake.echo
        first.handle = silent
        async with connected(network, "mem://first,mem://second") as client:
            many = asyncio.create_task(client.group("items").get_many(KEYS))
            await eventually(lambda: bool(first.requests))
            joined = asyncio.create_task(client.group("items").get(first.requests[0][1].keys[0]))
            await asyncio.sleep(0)
            network.cut("mem://first")
            assert await many == ALL
            assert (await joined) is not None
            network.cut("mem://second")
            with pytest.raises(PartialResult) as caught:
                await client.group("items").get_many(KEYS)
            assert {type(error) for error in caught.value.errors.values()} == {PeerUnavailable}

    asyncio.run(main())


def test_whatever_way_the_answer_comes_it_is_what_the_keys_by_themselves_would_get() -> None:
    async def test(fake: FakeNode, items: CacheGroup[bytes]) -> None:
        source = random.Random(7)
        for _ in range(60):
            fates = {key: source.choice(["value", "value", "none", "error"]) for key in KEYS}
            pieces = source.choice([1, 1, 2, 5])

            def handle(peer: bytes, request: Any, fates: dict[str, str] = fates, pieces: int = pieces) -> None:
                rows = {"value": None, "none": (wire.NO_SUCH_KEY, None), "error": (LoaderFailed.code, "no")}
                for piece in source.sample(range(pieces), pieces):
                    at = list(range(piece, len(request.keys), pieces))
                    if at:
                        fake.answer(
                            peer,
                            request.request_id,
                            *[rows[fates[request.keys[n]]] or request.keys[n].encode() for n in at],
                            positions=None if pieces == 1 else at,
                        )

            fake.handle = handle
            try:
                found, failed = await items.get_many(KEYS), set[str]()
            except PartialResult as error:
                found, failed = error.values, set(error.errors)
            assert found == {key: key.encode() for key in KEYS if fates[key] == "value"}
            assert failed == {key for key in KEYS if fates[key] == "error"}

    fake_test(test)
