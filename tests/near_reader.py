"""A program that keeps near copies of a few keys, reads them as fast as it can, and compares each value with what was acknowledged by then.

    python near_reader.py ADDRESS TABLE NEAR_READS

Says "ready" when a copy of each key was read, begins at a line on its standard input, and ends after another, when it has read so many
copies or the limit is up; then it prints what it found as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter

from near_table import KEYS, open_table

import zmcache

BURST = 50
"""Reads without giving way: as a program does that reads while it computes. Nothing that was told is heard meanwhile."""
LIMIT_S = 20.0


class Reader:
    def __init__(self, items: zmcache.CacheGroup[bytes], table: list[memoryview]) -> None:
        self._items = items
        self._table = table
        self._last_s = time.monotonic()
        self._going = True
        self.reads = self.missing = 0
        self.oldest_s = self.slept_s = 0.0
        """By how much the oldest value had been replaced when the read began; the longest time without any read."""
        self.failed: Counter[str] = Counter()

    async def run(self, at: int) -> None:
        get, key, acknowledged_s, monotonic = self._items.get, KEYS[at], self._table[at], time.monotonic
        while self._going:
            for _ in range(BURST):
                began_s = monotonic()
                if began_s - self._last_s > self.slept_s:
                    self.slept_s = began_s - self._last_s
                self._last_s = began_s
                try:
                    value = await get(key)
                except zmcache.MeshError as error:
                    self.failed[type(error).__name__] += 1
                    continue
                self.reads += 1
                if value is None:
                    self.missing += 1
                    continue
                replaced_s = acknowledged_s[int(value) + 1]
                if replaced_s and began_s - replaced_s > self.oldest_s:
                    self.oldest_s = began_s - replaced_s
            await asyncio.sleep(0)

    def end(self) -> None:
        self._going = False

    @property
    def hits(self) -> int:
        told = self._items.near_statistics()
        assert told is not None
        return told.hits

    async def wait_hits(self, hits: int, limit_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self.hits < hits:  # noqa: ASYNC110 - counters set no event
                    await asyncio.sleep(0.02)


async def wait_copies(items: zmcache.CacheGroup[bytes]) -> None:
    while True:
        before = items.near_statistics()
        for key in KEYS:
            await items.get(key)
        after = items.near_statistics()
        assert before is not None
        assert after is not None
        if after.hits - before.hits == len(KEYS):
            return
        await asyncio.sleep(0.005)


async def main(address: str, table: str, near_reads: str) -> None:
    # So long that nothing but what owners tell, or their silence, ends a copy here.
    async with zmcache.connect(address, near="1MiB", near_ttl="10m") as cache:
        items = cache.group("items")
        await wait_copies(items)
        reader = Reader(items, open_table(table))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        before = reader.hits
        tasks = [asyncio.create_task(reader.run(at)) for at in range(len(KEYS))]
        await asyncio.to_thread(sys.stdin.readline)
        await reader.wait_hits(before + int(near_reads), LIMIT_S)
        reader.end()
        await asyncio.gather(*tasks)
        told = items.near_statistics()
        assert told is not None
        found = {
            "reads": reader.reads, "near": told.hits - before, "oldest_s": round(reader.oldest_s, 4), "missing": reader.missing,
            "failed": reader.failed, "slept_s": reader.slept_s, "told_old": told.told_old, "lost": told.lost,
        }  # fmt: skip
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
