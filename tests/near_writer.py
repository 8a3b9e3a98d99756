"""A program that sets a few keys, a thousand times a second together, and notes when each set was acknowledged.

    python near_writer.py ADDRESS TABLE

Says "ready" when each key has its first value, begins at a line on its standard input, ends at another, and prints what it did as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from near_table import KEYS, open_table

import zmcache

RATE = 1000.0


class Writer:
    def __init__(self, items: zmcache.CacheGroup[bytes], table: list[memoryview]) -> None:
        self._items = items
        self._table = table
        self._going = True
        self.sets = self.failed = 0

    async def run(self, at: int, began_s: float) -> None:
        """Set one key, one value after the other. What was late is made up for."""
        pause_s = len(KEYS) / RATE
        due_s = began_s + at / RATE
        number = 0
        while self._going:
            number += 1
            await self.set(at, number)
            self.sets += 1
            due_s += pause_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))

    async def set(self, at: int, number: int) -> None:
        """Until it is acknowledged: a set that failed may have been done, and doing it again changes nothing."""
        while True:
            try:
                await self._items.set(KEYS[at], b"%d" % number, timeout=1.0)
            except zmcache.MeshError:
                self.failed += 1
                await asyncio.sleep(0.01)
            else:
                self._table[at][number] = time.monotonic()
                return

    def end(self) -> None:
        self._going = False


async def main(address: str, table: str) -> None:
    async with zmcache.connect(address) as cache:
        writer = Writer(cache.group("items"), open_table(table))
        for at in range(len(KEYS)):
            await writer.set(at, 0)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        began_s = time.monotonic()
        tasks = [asyncio.create_task(writer.run(at, began_s)) for at in range(len(KEYS))]
        await asyncio.to_thread(sys.stdin.readline)
        writer.end()
        seconds = time.monotonic() - began_s
        await asyncio.gather(*tasks)
        print(json.dumps({"sets": writer.sets, "seconds": seconds, "failed": writer.failed}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
