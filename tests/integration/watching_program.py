"""A program that watches one key, whose values begin with a number of eight digits, and prints a line of JSON for each update; what it logs, too.

python watching_program.py ADDRESS KEY
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time

import zmcache


async def main(address: str, key: str) -> None:
    async with zmcache.connect(address) as cache:
        async for update in cache.group("items").watch(key):
            number = None if update.value is None else int(update.value[:8])
            print(json.dumps([number, update.skipped, update.resumed]), flush=True)


def stop_reading(*_: object) -> None:
    goes_on: list[int] = []
    signal.signal(signal.SIGUSR2, lambda signum, _: goes_on.append(signum))
    while not goes_on:
        time.sleep(0.02)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, stop_reading)
    logging.basicConfig(stream=sys.stdout, format="%(message)s")
    asyncio.run(main(*sys.argv[1:]))
