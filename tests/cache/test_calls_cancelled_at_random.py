"""No reply ever reaches another call, wherever calls are cancelled, and nothing of them is left behind."""

from __future__ import annotations

import random

import pytest
from cache_worlds import World, in_each_world
from calls_cancelled import Fuzz, value_of
from eventually import eventually


@pytest.mark.parametrize("calls", [1500, pytest.param(20_000, marks=pytest.mark.slow)])
@in_each_world
async def test_thousands_of_calls_some_cancelled_somewhere_get_their_own_values(
    world: World, calls: int, caplog: pytest.LogCaptureFixture
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    fuzz = Fuzz([world.one, world.other], seed)
    await fuzz.run(calls)
    print(f"{fuzz.cancelled} cancelled, compared: {dict(fuzz.compared)}")
    # In this process most calls end before anybody could cancel them.
    assert fuzz.cancelled > calls // (20 if world.cluster is None else 5)
    assert fuzz.compared.total() > calls // 2
    assert min(fuzz.compared[call] for call in ("get", "get_many", "get_or_set", "incr", "gets")) > calls // 80
    if world.cluster is not None:
        raws = [group._raw.behind for group in (world.one, world.other)]
        nodes = world.cluster.nodes.values()
        await eventually(lambda: not any(raw._asking._flights or raw._peeking._flights for raw in raws))  # type: ignore[union-attr]
        await eventually(lambda: all(node.statistics()["late"] == 0 for node in nodes))
    assert await world.one.get("kept-7") == await world.other.get("kept-7") == value_of("kept-7")
    assert "raised" not in caplog.text
