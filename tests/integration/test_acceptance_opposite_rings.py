"""Two nodes that each take the other for the owner must not wait for each other."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from counting_node import value_of, write_node
from mesh_fixture import took_less_than
from processes import free_port, running

import zmcache

HEAVY, LIGHT = 100.0, 0.01


def test_two_nodes_with_opposite_rings_both_answer_within_a_second(tmp_path: Path) -> None:
    ports = {"a": free_port(), "b": free_port()}

    def write(name: str) -> Path:
        # Each believes that the other has nearly all of the ring.
        weights = {each: LIGHT if each == name else HEAVY for each in ports}
        members = ", ".join(
            f'{{id: {each}, endpoint: "tcp://127.0.0.1:{ports[each]}", weight: {weights[each]}}}' for each in ports
        )
        return write_node(tmp_path, name, f"{{static: [{members}]}}", port=ports[name], weight=LIGHT)

    async def ask(address_a: str, address_b: str) -> None:
        async with (
            zmcache.connect(address_a, route="any") as at_a,
            zmcache.connect(address_b, route="any") as at_b,
        ):
            for key in (f"contested-{i}" for i in range(20)):
                with took_less_than(1.0):
                    answers = await asyncio.gather(at_a.group("items").get(key), at_b.group("items").get(key))
                assert answers == [value_of(key)] * 2

    with ExitStack() as stack:
        nodes = {name: stack.enter_context(running("serve", str(write(name)), folder=tmp_path)) for name in ports}
        asyncio.run(ask(*(node.wait_address(name) for name, node in nodes.items())))
