"""A cache filled by those who ask: what is loaded, what is kept, and what is counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from zmcache_loadgen.targets.aside import APPLICATION, CacheAside
from zmcache_loadgen.targets.base import ABSENT, NodeCounters
from zmcache_loadgen.targets.plain import DictTarget


class Backend:
    """Knows every key that does not begin with a minus."""

    def __init__(self) -> None:
        self.asked: list[str | list[str]] = []

    async def load(self, key: str) -> bytes | None:
        self.asked.append(key)
        return None if key.startswith("-") else key.encode()

    async def load_many(self, keys: list[str]) -> Mapping[str, bytes]:
        self.asked.append(keys)
        return {key: key.encode() for key in keys if not key.startswith("-")}


def test_the_first_read_loads_and_the_next_ones_hit() -> None:
    async def main() -> None:
        backend = Backend()
        target = CacheAside(DictTarget(), backend.load)
        assert [await target.read("k") for _ in range(3)] == [("load", b"k"), ("found", b"k"), ("found", b"k")]
        assert (backend.asked, target.loads) == (["k"], 1)

    asyncio.run(main())


def test_a_key_that_the_backend_does_not_know_is_asked_for_each_time() -> None:
    async def main() -> None:
        target = CacheAside(DictTarget(), Backend().load)
        assert [await target.read("-") for _ in range(3)] == [ABSENT] * 3
        assert target.loads == 3

    asyncio.run(main())


@pytest.mark.parametrize("in_one_call", [True, False])
def test_of_many_keys_only_the_missing_ones_are_loaded_and_each_once(in_one_call: bool) -> None:
    async def main() -> None:
        backend = Backend()
        target = CacheAside(DictTarget(), backend.load, load_many=backend.load_many if in_one_call else None)
        await target.write("b", b"there", 0.0)
        asked = ["a", "b", "-", "a", "c"]
        assert await target.read_many(asked) == [b"a", b"there", None, b"a", b"c"]
        assert backend.asked == ([["a", "-", "c"]] if in_one_call else ["a", "-", "c"])
        assert await target.read_many(["a", "b", "c"]) == [b"a", b"there", b"c"]
        assert target.loads == 3

    asyncio.run(main())


def test_a_deleted_key_is_loaded_again() -> None:
    async def main() -> None:
        target = CacheAside(DictTarget(), Backend().load)
        await target.write("k", b"other", 0.0)
        assert await target.read("k") == ("found", b"other")
        await target.delete("k")
        assert await target.read("k") == ("load", b"k")

    asyncio.run(main())


def test_its_loads_are_counted_as_a_nodes_are() -> None:
    async def main() -> None:
        target = CacheAside(DictTarget(), Backend().load)
        await target.read("k")
        await target.read("k")
        assert await target.counters() == {APPLICATION: NodeCounters(requests=2, loads=1)}
        assert target.description == {"kind": "dict", "filled_by": "application"}

    asyncio.run(main())


def test_what_the_backend_raises_is_the_requests_own() -> None:
    async def broken(key: str) -> bytes | None:
        raise OSError("the database is away")

    async def main() -> None:
        target = CacheAside(DictTarget(), broken)
        with pytest.raises(OSError, match="away"):
            await target.read("k")

    asyncio.run(main())
