"""mem:// by a clock that a test can move."""

from __future__ import annotations

import asyncio

import pytest

import zmcache.testing
from zmcache import ConfigError


def test_an_entry_in_this_process_ends_when_the_clock_is_moved_and_not_before() -> None:
    async def main() -> None:
        loads = iter(range(10))
        async with zmcache.testing.local(ttl="1h", loaders={"items": lambda key: b"%d" % next(loads)}) as cache:
            items = cache.group("items")
            assert await items.get("k") == b"0"
            cache.advance("59m59s")
            assert await items.get("k") == b"0"
            cache.clock.advance(1)
            assert await items.get("k") == b"1"
            assert cache.clock.ahead_s == 3600
            await cache.group("others").set("k", b"v", ttl="1m")
            cache.advance(61)
            assert await cache.group("others").get("k") is None

    asyncio.run(main())


def test_groups_in_this_process_have_settings_of_their_own() -> None:
    async def main() -> None:
        async with zmcache.testing.local(groups={"brief": {"ttl": "1m"}, "other": None}, ttl="1h") as cache:
            groups = [cache.group(name) for name in ("brief", "other", "unnamed")]
            for group in groups:
                await group.set("k", b"v")
            cache.advance("1m")
            assert [await group.get("k") for group in groups] == [None, b"v", b"v"]

    asyncio.run(main())


def test_a_wrong_setting_is_told() -> None:
    with pytest.raises(ConfigError, match="ttl"):
        zmcache.testing.local(tll="1h")
