"""What a node that leaves says: nothing where nobody else is there, and what is true where the others cannot be told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from zmcache.config import DiscoverySettings, GroupConfig, NodeConfig, NodeSettings
from zmcache.core.ring import Member
from zmcache.node import Node
from zmcache.transport.memory import MemoryNetwork, MemoryTransport


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("a", []),
        (
            "ab",
            ["the others are not told that this node leaves: node a: a static list of members cannot be told of a change"],
        ),
    ],
)  # fmt: skip
def test_a_node_with_a_static_list_says_on_leaving_only_what_is_true(
    names: str, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        config = NodeConfig(
            node=NodeSettings(id="a", listen="mem://a"),
            discovery=DiscoverySettings(static=tuple(Member(name, f"mem://{name}") for name in names)),
            groups={"items": GroupConfig()},
        )
        network = MemoryNetwork()
        node = Node(config, transport=lambda: MemoryTransport(network))
        await node.start()
        caplog.clear()
        await node.drain()
        await node.stop()

    with caplog.at_level(logging.INFO, "zmcache"):
        asyncio.run(main())
    assert [record.getMessage() for record in caplog.records] == said
