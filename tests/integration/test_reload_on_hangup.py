"""SIGHUP: real nodes take over the budgets that their file says now, while they serve."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from eventually import answered, eventually_blocking
from processes import Command, running

import zmcache

KEYS = [f"k{number}" for number in range(2_000)]
NODE = """
node: {{id: only, listen: "tcp://127.0.0.1:0"}}
groups: {{items: {{budget: {budget}, ttl: {ttl}, loader: {{import: "zmcache.examples:value_of"}}}}}}
"""
CLUSTER = """
nodes: [{{id: a, listen: "tcp://127.0.0.1:0"}}, {{id: b, listen: "tcp://127.0.0.1:0"}}]
etcd: embedded
groups: {{items: {{budget: {budget}, loader: {{import: "zmcache.examples:value_of"}}}}}}
"""


async def used(client: zmcache.Cache) -> dict[str, tuple[float, float]]:
    """Of each node, what its group uses and may use."""
    found = await client.statistics()
    return {node: (each["group.items.used_bytes"], each["group.items.budget_bytes"]) for node, each in found.items()}


def told(node: Command, text: str) -> None:
    eventually_blocking(lambda: any(text in line for line in node.err + node.out), lambda: node.err + node.out)


def test_a_smaller_budget_is_reached_while_the_node_serves_and_a_larger_one_fills(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(NODE.format(budget="4MiB", ttl="null"))

    async def ask(address: str, node: Command) -> None:
        async with zmcache.connect(address) as client:
            items = client.group("items")
            await items.get_many(KEYS)
            ((before, _),) = (await used(client)).values()
            assert before > 200_000
            for budget, budget_bytes in (("128KiB", 2**17), ("4MiB", 2**22)):
                file.write_text(NODE.format(budget=budget, ttl="null"))
                node.send(signal.SIGHUP)
                await answered(
                    lambda: used(client), lambda found, most=budget_bytes: all(size <= limit == most for size, limit in found.values()),
                    what=f"a budget of {budget}", within_s=5.0,
                )  # fmt: skip
                values = await items.get_many(KEYS)
                assert len(values) == len(KEYS)
            ((after, _),) = (await used(client)).values()
            assert after == before

    with running("serve", str(file), folder=tmp_path) as node:
        asyncio.run(ask(node.wait_address("only"), node))
        told(node, "the budget of items is 128KiB now, it was 4MiB")


def test_a_wrong_file_changes_nothing_and_what_waits_for_a_restart_is_named(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text(NODE.format(budget="4MiB", ttl="null"))
    with running("serve", str(file), folder=tmp_path) as node:
        node.wait_address("only")
        file.write_text(NODE.format(budget="lots", ttl="null"))
        node.send(signal.SIGHUP)
        told(node, "SIGHUP: nothing is changed:")
        told(node, "groups.items.budget: expected a size")
        file.write_text(NODE.format(budget="4MiB", ttl="9s"))
        node.send(signal.SIGHUP)
        told(node, "only a restart will change it here: groups.items.ttl")
        file.write_text(NODE.format(budget="4MiB", ttl="null"))
        node.send(signal.SIGHUP)
        told(node, "the file says what is running")
        node.send(signal.SIGTERM)
        assert node.wait_end() == 0


def test_a_cluster_passes_it_on_to_its_nodes(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_text(CLUSTER.format(budget="4MiB"))
    with running("up", str(file), folder=tmp_path) as cluster:
        cluster.wait_line("all 2 nodes serve")
        file.write_text(CLUSTER.format(budget="2MiB"))
        cluster.send(signal.SIGHUP)
        for name in ("a", "b"):
            cluster.wait_line(rf"^{name} +\| .*the budget of items is 2MiB now, it was 4MiB")
        cluster.send(signal.SIGTERM)
        assert cluster.wait_end() == 0
