"""What callers of embedded nodes notice of the mesh: one load, one hop, answers that are answers, and failures that are routed around."""

from __future__ import annotations

import asyncio
import traceback

import pytest
from eventually import eventually
from mesh_fixture import Cluster, endpoint, mesh_test, took_less_than
from scripted_loader import ScriptedLoader, value_of

from zmcache.core.ring import Epoch, Member
from zmcache.errors import (
    Busy,
    ConfigError,
    DeadlineExceeded,
    InvalidKey,
    LifecycleError,
    LoaderFailed,
    LoadTimeout,
    MeshError,
    PartialResult,
)


def test_a_missing_key_is_loaded_once_by_its_owner_however_many_ask_anywhere() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        cluster.loaders["b"].gate.clear()
        calls = [asyncio.create_task(cluster.group(name).get(key)) for name in "abc" for _ in range(300)]
        await eventually(lambda: bool(cluster.loaders["b"].calls))
        cluster.loaders["b"].gate.set()
        assert await asyncio.gather(*calls) == [value_of(key)] * 900
        assert cluster.loaded == {key: 1}
        assert cluster.loaders["b"].loaded == {key: 1}

    mesh_test(test, "a", "b", "c")


def test_many_keys_asked_anywhere_are_each_loaded_once_and_by_their_owners() -> None:
    async def test(cluster: Cluster) -> None:
        keys = [f"many-{n}" for n in range(2500)]
        answers = await asyncio.gather(*(cluster.group(name).get_many(keys) for name in "abc"))
        assert all(answer == {key: value_of(key) for key in keys} for answer in answers)
        assert cluster.loaded == dict.fromkeys(keys, 1)
        for name, loader in cluster.loaders.items():
            assert all(cluster.nodes[name].is_ours(key) for key in loader.loaded)

    mesh_test(test, "a", "b", "c")


def test_no_such_key_is_an_answer_and_is_remembered_by_the_owner() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        for _ in range(3):
            assert await cluster.group("a").get(key, b"default") == b"default"
            assert await cluster.group("a").fetch(key) is None
            assert await cluster.group("b").get(key) is None
        assert cluster.loaded == {key: 1}

    mesh_test(test, make_loader=lambda name: _knows_nothing())


def test_the_owners_loader_error_reaches_the_asker_and_is_asked_nowhere_else() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b", "c")
        cluster.loaders["b"].answer = _fails
        with pytest.raises(LoaderFailed, match=r"tests:scripted.*database is gone"):
            await cluster.group("a").get(key)
        assert cluster.loaded == {key: 1}

    mesh_test(test, "a", "b", "c")


def test_an_error_that_is_not_proper_unicode_still_reaches_the_asker() -> None:
    async def test(cluster: Cluster) -> None:
        cluster.loaders["b"].answer = _fails_in_bytes
        with took_less_than(1.0), pytest.raises(LoaderFailed, match="no file"):
            await cluster.group("a").get(cluster.key_of("b"))

    mesh_test(test)


def test_an_error_shared_by_many_callers_does_not_collect_their_tracebacks() -> None:
    async def test(cluster: Cluster) -> None:
        cluster.loaders["a"].answer = _fails
        key = cluster.key_of("a")
        errors = await asyncio.gather(*[cluster.group("a").get(key) for _ in range(200)], return_exceptions=True)
        assert all(isinstance(error, LoaderFailed) for error in errors)
        assert isinstance(errors[0], LoaderFailed)
        assert len(traceback.extract_tb(errors[0].__traceback__)) < 5

    mesh_test(test)


def test_a_start_that_fails_leaves_nothing_open_and_says_what_is_in_use() -> None:
    async def test(cluster: Cluster) -> None:
        with pytest.raises(ConfigError, match="mem://a"):
            await cluster.start("a")
        assert cluster.loaders["a"].closed

    mesh_test(test, "a")


def test_an_owner_whose_loader_hangs_answers_load_timeout() -> None:
    async def test(cluster: Cluster) -> None:
        cluster.loaders["b"].gate.clear()
        with pytest.raises(LoadTimeout):
            await cluster.group("a").get(cluster.key_of("b"))
        assert len(cluster.loaded) == 1

    mesh_test(test, load_timeout_s=0.1)


def test_when_the_owner_is_gone_its_stand_in_loads_once_for_all() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("c", "b", seen_by="a")
        cluster.network.cut(endpoint("c"))
        calls = [cluster.group(name).get(key) for name in "ab" for _ in range(50)]
        assert await asyncio.gather(*calls) == [value_of(key)] * 100
        assert cluster.loaded == {key: 1}
        assert cluster.loaders["b"].loaded == {key: 1}

    mesh_test(test, "a", "b", "c")


def test_a_request_in_flight_when_its_owner_dies_is_answered_by_the_stand_in() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("c", "b")
        cluster.loaders["c"].gate.clear()
        call = asyncio.create_task(cluster.group("a").get(key))
        await eventually(lambda: bool(cluster.loaders["c"].calls))
        with took_less_than(1.0):
            cluster.network.cut(endpoint("c"))
            assert await call == value_of(key)
        assert cluster.loaders["b"].loaded == {key: 1}
        assert cluster.loaders["a"].loaded == {}

    mesh_test(test, "a", "b", "c")


def test_when_owner_and_stand_in_are_gone_the_asker_loads_by_itself() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("c", "b")
        cluster.network.cut(endpoint("b"))
        cluster.network.cut(endpoint("c"))
        with took_less_than(1.0):
            assert await asyncio.gather(*[cluster.group("a").get(key) for _ in range(50)]) == [value_of(key)] * 50
        assert cluster.loaded == {key: 1}
        assert cluster.nodes["a"].statistics()["group.items.fallback_loads"] == 1

    mesh_test(test, "a", "b", "c")


def test_loading_in_place_of_others_is_paced_and_then_refused_so_that_the_backend_survives() -> None:
    async def test(cluster: Cluster) -> None:
        ring = cluster.nodes["a"].ring()
        far = (key for key in cluster.keys_of("c", "b") if ring.owners(key, 3)[2].node_id == "d")
        keys = [key for key, _ in zip(far, range(200), strict=False)]
        for name in "bcd":
            cluster.network.cut(endpoint(name))
        results = await asyncio.gather(*[cluster.group("a").get(key) for key in keys], return_exceptions=True)
        refused = [result for result in results if isinstance(result, Busy)]
        # A burst of max_loads, and what a second at four times that rate lets through.
        assert 2 <= len(cluster.loaded) <= 2 + 4 * 2 + 3
        assert len(refused) == 200 - len(cluster.loaded)
        assert all(result == value_of(key) for key, result in zip(keys, results, strict=True) if result not in refused)

    mesh_test(test, "a", "b", "c", "d", max_loads=2)


def test_without_a_loader_a_key_nobody_set_does_not_exist() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("b")
        assert await cluster.group("a").get(key) is None
        await cluster.group("a").set(key, b"set")
        assert await cluster.group("b").get(key) == b"set"

    mesh_test(test, loads=False)


def test_two_nodes_with_opposite_rings_asked_at_once_both_answer_within_a_second() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.oppose()
        keys = [
            key
            for key in (f"opposite-{n}" for n in range(200))
            if not cluster.nodes["a"].is_ours(key) and not cluster.nodes["b"].is_ours(key)
        ]
        assert len(keys) > 100
        with took_less_than(1.0):
            calls = [cluster.group(name).get(key) for key in keys for name in "ab"]
            assert await asyncio.gather(*calls) == [value_of(key) for key in keys for _ in "ab"]
        assert max(cluster.loaded.values()) <= 2

    mesh_test(test)


def test_a_forwarded_request_is_never_forwarded_again() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.oppose()
        key = next(k for k in cluster.keys_of("b", seen_by="a") if not cluster.nodes["b"].is_ours(k))
        assert await cluster.group("a").get(key) == value_of(key)
        assert cluster.loaders["b"].loaded == {key: 1}
        assert cluster.loaders["a"].loaded == {}
        assert cluster.nodes["b"].statistics()["group.items.asked"] == 0

    mesh_test(test)


def test_what_a_node_loads_for_a_key_that_is_not_its_own_it_keeps_for_a_short_time_only() -> None:
    async def test(cluster: Cluster) -> None:
        await cluster.oppose()
        key = next(k for k in cluster.keys_of("b", seen_by="a") if not cluster.nodes["b"].is_ours(k))
        await cluster.group("a").get(key)
        item = await cluster.group("b").fetch(key)
        assert item is not None
        assert item.ttl_s is not None
        assert item.ttl_s <= 10.0

    mesh_test(test, moved_ttl_s=10.0)


def test_the_second_fetch_of_another_nodes_key_makes_a_hot_copy_that_expires() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        sources = []
        for _ in range(4):
            item = await a.fetch(key)
            assert item is not None
            assert item.value == value_of(key)
            sources.append(item.source)
        assert sources == ["load", "owner", "hot", "hot"]
        assert a.get_nowait(key) == value_of(key)
        cluster.clock.advance(1.0)
        assert a.get_nowait(key) is None
        item = await a.fetch(key)
        assert item is not None
        assert item.source == "owner"

    mesh_test(test, hot_ttl_s=1.0)


def test_a_hot_copy_lives_no_longer_than_the_value_itself() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        await cluster.group("b").set(key, b"short", ttl=1.0)
        await a.get(key)
        await a.get(key)
        assert a.get_nowait(key) == b"short"
        cluster.clock.advance(1.0)
        assert a.get_nowait(key) is None

    mesh_test(test, hot_ttl_s=60.0)


def test_a_set_or_a_delete_through_a_node_drops_its_own_hot_copy() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        for _ in range(3):
            await a.get(key)
        assert a.get_nowait(key) == value_of(key)
        await a.set(key, b"new")
        assert a.get_nowait(key) is None
        assert await a.get(key) == b"new"
        await a.get(key)
        assert a.get_nowait(key) == b"new"
        assert await a.delete(key) is True
        assert a.get_nowait(key) is None

    mesh_test(test, hot_ttl_s=60.0)


def test_set_and_delete_through_another_node_act_at_the_owner() -> None:
    async def test(cluster: Cluster) -> None:
        key, a, b = cluster.key_of("b"), cluster.group("a"), cluster.group("b")
        await a.set(key, b"set")
        assert b.get_nowait(key) == b"set"
        assert await a.delete(key) is True
        assert b.get_nowait(key) is None
        assert await a.delete(key) is False
        assert await b.delete(key) is False
        await a.set(key, b"short", ttl=60)
        assert b.get_nowait(key) == b"short"
        cluster.clock.advance(60)
        assert b.get_nowait(key) is None
        assert cluster.loaded == {}

    mesh_test(test)


def test_a_write_whose_owner_is_gone_is_taken_by_who_stands_in_and_refused_when_those_are_gone_too() -> None:
    async def test(cluster: Cluster) -> None:
        ring = cluster.nodes["a"].ring()
        key = next(key for key in cluster.keys_of("c", "b") if ring.owners(key, 3)[2].node_id == "d")
        cluster.network.cut(endpoint("c"))
        await cluster.group("a").set(key, b"kept")
        assert cluster.group("b").get_nowait(key) == b"kept"
        await cluster.group("b").set(key, b"again")  # the stand-in itself
        assert await cluster.group("a").get(key) == b"again"
        cluster.network.cut(endpoint("b"))
        await cluster.group("a").set(key, b"at the third")
        assert cluster.group("d").get_nowait(key) == b"at the third"
        cluster.network.cut(endpoint("d"))
        with pytest.raises(MeshError):
            await cluster.group("a").set(key, b"nowhere")

    mesh_test(test, "a", "b", "c", "d")


def test_a_slow_load_that_began_before_a_set_does_not_bring_the_old_value_back_at_the_owner() -> None:
    async def test(cluster: Cluster) -> None:
        key, b = cluster.key_of("b"), cluster.group("b")
        cluster.loaders["b"].gate.clear()
        old = asyncio.create_task(b.get(key))
        await eventually(lambda: bool(cluster.loaders["b"].calls))
        await b.set(key, b"new")
        cluster.loaders["b"].gate.set()
        assert await old == value_of(key)
        assert await b.get(key) == b"new"

    mesh_test(test)


def test_a_slow_load_that_began_before_a_delete_is_not_kept() -> None:
    async def test(cluster: Cluster) -> None:
        key, a, b = cluster.key_of("b"), cluster.group("a"), cluster.group("b")
        cluster.loaders["b"].gate.clear()
        old = asyncio.create_task(a.get(key))
        await eventually(lambda: bool(cluster.loaders["b"].calls))
        assert await a.delete(key) is False
        cluster.loaders["b"].gate.set()
        await old
        assert b.get_nowait(key) is None
        assert a.get_nowait(key) is None

    mesh_test(test)


def test_a_get_that_began_before_a_set_leaves_no_hot_copy_of_the_old_value() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("b"), cluster.group("a")
        for _ in range(2):
            await a.get(key)  # popular from now on
        await a.set(key, b"1")
        await cluster.group("b").delete(key)
        cluster.loaders["b"].gate.clear()
        old = asyncio.create_task(a.get(key))
        await eventually(lambda: cluster.loaders["b"].running == 1)
        await a.set(key, b"2")
        cluster.loaders["b"].gate.set()
        assert await old == value_of(key)
        assert a.get_nowait(key) is None
        assert await a.get(key) == b"2"

    mesh_test(test, hot_ttl_s=60.0)


def test_one_caller_that_gives_up_leaves_the_others_their_answer() -> None:
    async def test(cluster: Cluster) -> None:
        for owner in "ab":
            key = cluster.key_of(owner)
            cluster.loaders[owner].gate.clear()
            leader = asyncio.create_task(cluster.group("a").get(key))
            followers = [asyncio.create_task(cluster.group("a").get(key)) for _ in range(5)]
            await eventually(lambda owner=owner: cluster.loaders[owner].running == 1)
            leader.cancel()
            with pytest.raises(DeadlineExceeded):
                await cluster.group("a").get(key, timeout=0.03)
            cluster.loaders[owner].gate.set()
            assert await asyncio.gather(*followers) == [value_of(key)] * 5
            assert leader.cancelled()
        assert max(cluster.loaded.values()) == 1

    mesh_test(test)


def test_when_every_caller_has_gone_the_load_is_given_up() -> None:
    async def test(cluster: Cluster) -> None:
        key = cluster.key_of("a")
        cluster.loaders["a"].gate.clear()
        calls = [asyncio.create_task(cluster.group("a").get(key)) for _ in range(3)]
        await eventually(lambda: cluster.loaders["a"].running == 1)
        for call in calls:
            call.cancel()
        await eventually(lambda: cluster.loaders["a"].cancelled == 1)
        cluster.loaders["a"].gate.set()
        assert await cluster.group("a").get(key) == value_of(key)

    mesh_test(test)


def test_a_call_ends_by_its_deadline_wherever_the_key_lives() -> None:
    async def test(cluster: Cluster) -> None:
        for loader in cluster.loaders.values():
            loader.gate.clear()
        for owner in "ab":
            with took_less_than(0.1 + 0.05), pytest.raises(DeadlineExceeded):
                await cluster.group("a").get(cluster.key_of(owner), timeout=0.1)

    mesh_test(test)


def test_a_get_many_in_which_some_keys_fail_raises_with_what_it_has() -> None:
    async def test(cluster: Cluster) -> None:
        ours, theirs = cluster.key_of("a"), cluster.key_of("b")
        cluster.loaders["b"].answer = _fails
        with pytest.raises(PartialResult) as caught:
            await cluster.group("a").get_many([ours, theirs])
        assert caught.value.values == {ours: value_of(ours)}
        assert set(caught.value.errors) == {theirs}
        assert isinstance(caught.value.errors[theirs], LoaderFailed)

    mesh_test(test)


def test_when_a_node_joins_the_keys_that_moved_become_short_lived_and_the_others_stay() -> None:
    async def test(cluster: Cluster) -> None:
        keys = [f"moving-{n}" for n in range(1500)]
        a = cluster.group("a")
        await a.get_many(keys)
        assert (await a.fetch(keys[0])).ttl_s is None  # type: ignore[union-attr]  # it was just loaded
        await cluster.start("b")
        moved = [key for key in keys if not cluster.nodes["a"].is_ours(key)]
        stayed = [key for key in keys if cluster.nodes["a"].is_ours(key)]
        assert moved
        assert stayed
        await eventually(lambda: all(a.get_nowait(key) is None for key in moved))
        assert all(a.get_nowait(key) == value_of(key) for key in stayed)
        assert (await a.fetch(stayed[0])).ttl_s is None  # type: ignore[union-attr]  # it is here

    mesh_test(test, "a", moved_ttl_s=0.2)


def test_after_a_lost_lease_a_node_keeps_what_it_holds_once_the_others_have_told_it_what_they_were_given() -> None:
    async def test(cluster: Cluster) -> None:
        a = cluster.group("a")
        keys = [key for key, _ in zip(cluster.keys_of("a"), range(2500), strict=False)]
        await a.get_many(keys)
        cluster.registry.watchers["a"].on_lost()
        # Being registered again is a new revision for everyone, and with another member also a new ring.
        cluster.registry.put(Member("far", "mem://far", 0.001))
        await cluster.settled()
        await eventually(lambda: not cluster.nodes["a"]._parts.mesh.catches_up)
        await asyncio.sleep(0.4)  # nothing is to happen: longer than what is let go would live
        held = [key for key in keys if a.get_nowait(key) is not None]
        assert len(held) >= len(keys) - 100  # some have moved to the newcomer
        assert cluster.nodes["a"].statistics()["lease_losses"] == 1

    mesh_test(test, moved_ttl_s=0.3)


def test_after_a_lost_lease_a_node_asks_again_where_somebody_does_not_tell_it_and_keeps_what_it_holds() -> None:
    async def test(cluster: Cluster) -> None:
        a, desk = cluster.group("a"), cluster.nodes["b"]._parts.desk
        keys = [key for key, _ in zip(cluster.keys_of("a"), range(500), strict=False)]
        await a.get_many(keys)
        on_doubt, asked = desk.on_doubt, 0

        def forgetful(peer: str, number: int, epoch: Epoch) -> None:
            nonlocal asked
            asked += 1
            if asked > 1:
                on_doubt(peer, number, epoch)

        desk.on_doubt = forgetful  # type: ignore[method-assign]
        cluster.registry.watchers["a"].on_lost()
        await eventually(lambda: asked >= 2)
        await eventually(lambda: not cluster.nodes["a"]._parts.mesh.catches_up)
        assert all(a.get_nowait(key) is not None for key in keys)

    mesh_test(test, moved_ttl_s=0.3)


def test_a_load_that_began_before_the_ring_moved_is_kept_for_a_short_time_only() -> None:
    async def test(cluster: Cluster) -> None:
        key, a = cluster.key_of("a"), cluster.group("a")
        cluster.loaders["a"].gate.clear()
        call = asyncio.create_task(a.get(key))
        await eventually(lambda: bool(cluster.loaders["a"].calls))
        cluster.registry.put(Member("far", "mem://far", 0.001))
        await cluster.settled()
        cluster.loaders["a"].gate.set()
        assert await call == value_of(key)
        item = await a.fetch(key)
        assert item is not None
        assert item.ttl_s is not None
        assert item.ttl_s <= 10.0

    mesh_test(test)


def test_a_stopped_nodes_callers_are_told_and_none_hangs() -> None:
    async def test(cluster: Cluster) -> None:
        a = cluster.group("a")
        ours, theirs, fenced = cluster.key_of("a"), *[k for k, _ in zip(cluster.keys_of("b"), range(2), strict=False)]
        for loader in cluster.loaders.values():
            loader.gate.clear()
        calls = [asyncio.create_task(a.get(key)) for key in (ours, theirs, fenced)]
        await eventually(lambda: cluster.loaders["b"].running == 1)
        await eventually(lambda: cluster.loaders["a"].running == 1)
        await a.set(fenced, b"overtakes")
        with took_less_than(1.0):
            await cluster.nodes["a"].stop()
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert all(isinstance(result, MeshError) for result in results)
        assert cluster.loaders["a"].loaded == {ours: 1}

    mesh_test(test)


@pytest.mark.parametrize("left", ["b", "bc"])
def test_requests_in_flight_to_members_that_leave_are_answered_by_those_that_stay(left: str) -> None:
    async def test(cluster: Cluster) -> None:
        a = cluster.group("a")
        keys = [f"leaving-{n}" for n in range(60)]
        for name in left:
            cluster.loaders[name].gate.clear()
        call = asyncio.create_task(a.get_many(keys))
        await eventually(lambda: all(cluster.loaders[name].running for name in left))
        cluster.registry.members |= {name: cluster.registry.members[name]._replace(state="leaving") for name in left}
        cluster.registry.publish()
        await cluster.settled()
        assert not call.done()  # those who leave go on answering
        cluster.registry.drop(*left)
        with took_less_than(2.0):
            assert await call == {key: value_of(key) for key in keys}
        for key in keys:
            owner = cluster.nodes["a"].ring().owner(key).node_id
            assert cluster.loaders[owner].loaded[key] == 1

    mesh_test(test, "a", "b", "c")


def test_a_node_that_drains_while_it_is_asked_fails_no_request() -> None:
    async def test(cluster: Cluster) -> None:
        failures: list[BaseException] = []
        asked = 0
        stop = False

        async def ask(worker: int) -> None:
            nonlocal asked
            while not stop:
                asked += 1
                try:
                    key = f"drain-{worker}-{asked % 50}"
                    assert await cluster.group("a").get(key) == value_of(key)
                except Exception as error:
                    failures.append(error)
                await asyncio.sleep(0.001)

        workers = [asyncio.create_task(ask(worker)) for worker in range(8)]
        await eventually(lambda: asked > 100)
        node = cluster.nodes["b"]
        await node.drain()
        await node.stop()
        seen = asked
        # A ring is built beside the loop: the one without b may come after the goodbye.
        await eventually(lambda: "b" not in [member.node_id for member in cluster.nodes["a"].ring().members])
        await eventually(lambda: asked > seen + 100)
        stop = True
        await asyncio.gather(*workers)
        assert failures == []

    mesh_test(test, "a", "b", "c")


def _knows_nothing() -> ScriptedLoader:
    return ScriptedLoader(known=lambda key: False)


def _fails(keys: list[str]) -> dict[str, bytes]:
    raise RuntimeError("the database is gone")


def _fails_in_bytes(keys: list[str]) -> dict[str, bytes]:
    raise OSError("no file \udcff")


def test_what_is_no_key_is_refused_by_name_by_every_call() -> None:
    async def test(cluster: Cluster) -> None:
        a = cluster.group("a")
        for wrong in ([], 7, "", None, "k" * 1025):
            with pytest.raises(InvalidKey):
                a.get_nowait(wrong)  # type: ignore[call-overload]  # what an untyped program may do
            with pytest.raises(InvalidKey):
                await a.get(wrong)  # type: ignore[call-overload]

    mesh_test(test)


def test_a_group_used_in_another_event_loop_says_so() -> None:
    async def test(cluster: Cluster) -> None:
        a, key = cluster.group("a"), cluster.key_of("a")
        await a.set(key, b"held")

        async def elsewhere() -> None:
            assert await a.get(key) == b"held"
            for call in (a.get("missing"), a.set(key, b"new"), a.delete(key)):
                with pytest.raises(LifecycleError, match="another event loop"):
                    await call

        await asyncio.to_thread(asyncio.run, elsewhere())

    mesh_test(test)
