"""Every call of the synchronous client, one thread and many, and that it says of itself what the asynchronous one does."""

from __future__ import annotations

import inspect
from datetime import datetime
from typing import Any

import msgspec
import pytest
from sync_worlds import in_threads

import zmcache
import zmcache.sync
from zmcache.cache import BoundCached, Cache, Cached, CacheGroup
from zmcache.errors import InvalidKey, InvalidTtl, RequestError, UnknownGroup
from zmcache.sync import BoundSyncCached, SyncCache, SyncCached, SyncGroup


def test_one_key_is_set_and_got_and_deleted(cache: SyncCache) -> None:
    items = cache.group("items")
    assert items.get("k") is None
    assert items.get("k", b"nothing") == b"nothing"
    items.set("k", b"1", ttl=60)
    assert items.get("k") == items.get("k", timeout=2.0) == b"1"
    item = items.fetch("k")
    assert item is not None
    assert (item.value, item.source) == (b"1", "owner")
    assert item.ttl_s == pytest.approx(60, abs=5)
    assert items.touch("k", ttl="2m") is True
    assert items.delete("k") is True
    assert items.delete("k") is False
    assert items.fetch("k") is None
    items.set("none", None)
    assert items.get("none", b"nothing") is None


def test_many_keys_are_set_and_got_and_deleted(cache: SyncCache) -> None:
    items = cache.group("items")
    values = {f"k{n}": b"%d" % n for n in range(300)}
    assert items.set_many(values) == []
    assert items.get_many(key for key in [*values, "missing"]) == values
    assert items.delete_many(iter(["k0", "k1", "missing"])) == 2
    items.clear()
    assert items.get_many(values) == {}


def test_what_must_be_done_once_is_done_and_told(cache: SyncCache) -> None:
    items = cache.group("items")
    assert items.add("k", b"1") is True
    assert items.add("k", b"2") is False
    found = items.gets("k")
    assert found is not None
    assert items.cas("k", b"3", found[1]) is True
    assert items.cas("k", b"4", found[1]) is False
    assert items.gets("missing") is None
    assert items.cas("missing", b"4", found[1]) is None
    assert items.incr("n") is None
    assert items.incr("n", initial=5) == 5
    assert items.incr("n", -2) == 3


def test_a_group_carries_what_its_codec_does(cache: SyncCache) -> None:
    class User(msgspec.Struct):
        name: str
        since: datetime

    users = cache.group("items", type=User)
    user = User("ada", datetime(2024, 1, 2))
    users.set("ada", user)
    assert users.get("ada") == user
    assert users.get_many(["ada"]) == {"ada": user}
    cache.group("items").set("old", b"\xc1 no such thing")
    assert users.get("old") is None
    assert users.undecodable == 1
    signed = cache.group("items", codec="pickle", key=b"0123456789abcdef")
    signed.set("p", {1, 2})
    assert signed.get("p") == {1, 2}


def test_a_connection_tells_of_its_cluster(cache: SyncCache) -> None:
    items = cache.group("items")
    assert cache.group("items") is items
    items.set("k", b"1")
    (member,) = cache.topology().members
    assert [found.node_id for found in cache.ring().members] == [member.node_id]
    assert cache.statistics()[member.node_id]["group.items.sets"] >= 1
    assert cache.failures == 0


def test_wrong_arguments_raise_what_they_raise_with_the_async_client(cache: SyncCache) -> None:
    items = cache.group("items")
    with pytest.raises(InvalidKey):
        items.get("")
    with pytest.raises(InvalidKey):
        items.set(7, b"1")  # type: ignore[arg-type]
    with pytest.raises(InvalidTtl):
        items.set("k", b"1", ttl=-1)
    with pytest.raises(RequestError):
        items.get("k", timeout=-1)
    with pytest.raises(UnknownGroup):
        cache.group("")


def test_sixteen_threads_that_share_a_client_each_get_their_own_values(cache: SyncCache) -> None:
    items = cache.group("items")

    def run(n: int) -> int:
        right = 0
        for turn in range(150):
            key, value = f"k{n}-{turn % 7}", b"%d %d" % (n, turn)
            items.set(key, value)
            right += items.get(key) == value
            right += items.get_many([key]) == {key: value}
        return right

    assert in_threads(16, run) == [300] * 16


def test_no_increment_of_many_threads_is_lost(cache: SyncCache) -> None:
    items = cache.group("items")
    sums = in_threads(8, lambda n: [items.incr("n", initial=1) for _ in range(50)])
    assert sorted(number for mine in sums for number in mine) == list(range(1, 401))  # type: ignore[union-attr]


def test_a_trace_of_the_calling_thread_travels_with_its_call(cache: SyncCache, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    group: Any = cache.group("items")
    plain = group._raw.get
    monkeypatch.setattr(group._raw, "get_directly", None)  # through the loop, which has another context
    monkeypatch.setattr(group._raw, "get", lambda *given: (seen.append(zmcache.traceparent()), plain(*given))[1])
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with zmcache.trace_context(trace):
        group.get("k")
    group.get("k")
    assert seen == [trace, None]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(SyncCache, Cache), (SyncGroup, CacheGroup), (SyncCached, Cached), (BoundSyncCached, BoundCached)],
)
def test_each_call_has_the_docstring_and_the_parameters_of_the_async_one(ours: type, theirs: type) -> None:
    other_names = {"aclose": "close"}
    public = [name for name in dir(theirs) if not name.startswith("_")]
    assert public
    for name in public:
        if inspect.isfunction(member := getattr(theirs, name)):
            if theirs is CacheGroup and name == "aclose":
                continue  # for the connection to call
            mine = getattr(ours, other_names.get(name, name))
            assert list(inspect.signature(mine).parameters) or name == "statistics"
            if name not in other_names and theirs is not BoundCached:
                assert mine.__doc__ == member.__doc__, name
            if name != "get_or_set":
                assert list(inspect.signature(mine).parameters) == list(inspect.signature(member).parameters), name
            assert inspect.getdoc(mine), name


def test_connect_takes_the_same_options_and_tells_of_them() -> None:
    assert inspect.signature(zmcache.sync.connect).parameters == inspect.signature(zmcache.connect).parameters
    assert zmcache.sync.connect.__doc__ == (zmcache.connect.__doc__ or "").replace("async with", "with")
    with zmcache.sync.connect("mem://?timeout=50ms", on_error="miss") as cache:
        assert cache.group("items").get("k") is None
