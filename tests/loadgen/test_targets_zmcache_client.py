"""The thin target passes on what the client says, and knows which errors make a run pointless."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple, cast

import pytest
from zmcache_loadgen.errors import TargetRefused, TargetUnavailable
from zmcache_loadgen.targets.base import ABSENT, NodeCounters
from zmcache_loadgen.targets.zmcache_client import ZmcacheTarget

import zmcache


class Found(NamedTuple):
    value: bytes
    ttl_s: float | None
    source: str


class StandInClient:
    """As much of a client, and of a group, as the target uses."""

    def __init__(self) -> None:
        self.answer: Found | Exception | None = None
        self.counted: dict[str, dict[str, float]] | Exception = {}
        self.lives: list[object] = []

    def group(self, name: str) -> StandInClient:
        return self

    async def fetch(self, key: str) -> Found | None:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def get_many(self, keys: Iterable[str]) -> dict[str, bytes]:
        found = await self.fetch("")
        return {} if found is None else dict.fromkeys(keys, found.value)

    async def set(self, key: str, value: bytes, *, ttl: object = "the group's own") -> None:
        await self.fetch(key)
        self.lives.append(ttl)

    async def statistics(self) -> dict[str, dict[str, float]]:
        if isinstance(self.counted, Exception):
            raise self.counted
        return self.counted


@pytest.fixture
def client() -> StandInClient:
    return StandInClient()


@pytest.fixture
def target(client: StandInClient) -> ZmcacheTarget:
    return ZmcacheTarget(cast("zmcache.Cache", client), "items", {"route": "any"})


@pytest.mark.parametrize("source", ["hot", "owner", "load"])
def test_a_read_tells_where_the_value_came_from(client: StandInClient, target: ZmcacheTarget, source: str) -> None:
    client.answer = Found(b"v", None, source)
    assert asyncio.run(target.read("k")) == (source, b"v")


def test_a_key_that_nobody_knows_is_absent(target: ZmcacheTarget) -> None:
    assert asyncio.run(target.read("k")) == ABSENT
    assert asyncio.run(target.read_many(["k", "l"])) == [None, None]


def test_a_write_without_a_life_leaves_it_to_the_group(client: StandInClient, target: ZmcacheTarget) -> None:
    asyncio.run(target.write("k", b"v", 0.0))
    asyncio.run(target.write("k", b"v", 1.5))
    assert client.lives == ["the group's own", 1.5]


def test_other_errors_are_the_requests_own(client: StandInClient, target: ZmcacheTarget) -> None:
    client.answer = zmcache.Busy("later")
    for call in (target.read("k"), target.read_many(["k"]), target.write("k", b"", 0.0)):
        with pytest.raises(zmcache.Busy):
            asyncio.run(call)


def test_a_part_of_many_keys_is_one_failed_request_unless_there_is_no_such_group(
    client: StandInClient, target: ZmcacheTarget
) -> None:
    client.answer = zmcache.PartialResult({"k": b"v"}, {"l": zmcache.Busy("later")})
    with pytest.raises(zmcache.PartialResult):
        asyncio.run(target.read_many(["k", "l"]))
    client.answer = zmcache.PartialResult(
        {}, {"k": zmcache.Busy("later"), "l": zmcache.UnknownGroup("no group 'items'")}
    )
    with pytest.raises(TargetRefused, match="no group 'items'"):
        asyncio.run(target.read_many(["k", "l"]))


def test_counters_are_the_requests_and_the_loads_of_this_group(client: StandInClient, target: ZmcacheTarget) -> None:
    client.counted = {
        "a": {"requests": 10.0, "group.items.loads": 3.0, "group.other.loads": 99.0},
        "b": {"requests": 0.0},
    }
    assert asyncio.run(target.counters()) == {"a": NodeCounters(10, 3), "b": NodeCounters(0, 0)}


def test_statistics_of_nobody_mean_that_nobody_is_there(client: StandInClient, target: ZmcacheTarget) -> None:
    with pytest.raises(TargetUnavailable, match="no node answers"):
        asyncio.run(target.counters())
    client.counted = zmcache.PeerUnavailable("down")
    with pytest.raises(TargetUnavailable, match="down"):
        asyncio.run(target.counters())


def test_the_description_says_what_was_asked(target: ZmcacheTarget) -> None:
    assert target.description == {"kind": "zmcache", "group": "items", "route": "any"}
