"""A hundred thousand acknowledged values on four nodes that hold each twice: one is killed, and after the repair another one."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from eventually import answered
from processes import Command

import zmcache
from zmcache.embedded_etcd import EmbeddedEtcd

VALUES = 100_000
CHUNK = 1000
LEASE_S = 2.0


def value_of(key: str) -> bytes:
    return f"the value of {key}".encode() * 3


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_of_a_hundred_thousand_acknowledged_values_two_killed_nodes_lose_none(tmp_path: Path) -> None:
    async def main() -> None:
        async with EmbeddedEtcd(folder=tmp_path / "etcd") as etcd:
            nodes = {name: start(tmp_path, name, etcd.endpoint) for name in "abcd"}
            try:
                addresses = [await asyncio.to_thread(node.wait_address, name) for name, node in nodes.items()]
                async with zmcache.connect(",".join(addresses), timeout=10) as cache:
                    await whole(cache, set(nodes))
                    items = cache.group("items")
                    keys = [f"key-{n}" for n in range(VALUES)]
                    for at in range(0, VALUES, CHUNK):
                        assert await items.set_many({key: value_of(key) for key in keys[at : at + CHUNK]}) == []
                    for name in "ab":
                        nodes[name].send(signal.SIGKILL)
                        await read_back(items, keys)
                        await whole(cache, set(nodes) - set("ab"[: "ab".index(name) + 1]))
                        await read_back(items, keys)
                    figures = await cache.statistics()
                    assert sum(told["group.items.evictions"] for told in figures.values()) == 0
                    assert sum(told["group.items.entries"] for told in figures.values()) >= 2 * VALUES
            finally:
                await asyncio.gather(*[asyncio.to_thread(node.end) for node in nodes.values()])

    asyncio.run(main())


def start(folder: Path, name: str, etcd: str) -> Command:
    file = folder / f"{name}.yaml"
    config = {
        "cluster": "lose-nothing",
        "node": {"id": name, "listen": "tcp://127.0.0.1:0", "drain_timeout": "1s"},
        "discovery": {"etcd": [etcd], "lease": f"{LEASE_S:g}s"},
        "groups": {"items": {"budget": "256MiB", "copies": 2, "acks": 2}},
    }
    file.write_text(json.dumps(config))  # JSON is YAML
    return Command("serve", str(file), folder=folder)


async def whole(cache: zmcache.Cache, names: set[str]) -> None:
    """Return when these nodes are the ring, and none of them has anything left to hand over."""

    async def figures() -> dict[str, dict[str, float]]:
        try:
            return await cache.statistics(timeout=2)
        except zmcache.MeshError:
            return {}

    def is_whole(told: dict[str, dict[str, float]]) -> bool:
        return set(told) == names and all(
            node["ring.members"] == len(names) and not node["handover.under_way"] for node in told.values()
        )

    await answered(figures, is_whole, what=f"{names} are whole", within_s=60)


async def read_back(items: zmcache.CacheGroup[bytes], keys: list[str]) -> None:
    """Each value is there, and is the right one."""
    for at in range(0, len(keys), CHUNK):
        part = keys[at : at + CHUNK]
        assert await items.get_many(part) == {key: value_of(key) for key in part}
