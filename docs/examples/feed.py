"""A market that moves: sets the prices of a few currencies, a thousand times a second, until it closes.

    zmcache up docs/examples/quotes.yaml
    python docs/examples/feed.py zmcache://127.0.0.1:7501,127.0.0.1:7502,127.0.0.1:7503

`board.py` beside it, in any number of terminals, draws it. Arguments: address, seconds (10), changes a second (1000).
"""

from __future__ import annotations

import asyncio
import random
import sys

import zmcache

PRICES = {"EURUSD": 1.0841, "GBPUSD": 1.2710, "USDJPY": 151.42, "USDCHF": 0.8853}
_TICK_S = 0.02


async def main(address: str, seconds: float = 10.0, changes_s: float = 1000.0) -> None:
    """Set prices until the time is over, then say that the market is closed, and at what prices."""
    prices, chance = dict(PRICES), random.Random()
    async with zmcache.connect(address) as cache:
        quotes = cache.group("quotes", codec="msgpack")
        await quotes.set("closed", False)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while (now_s := loop.time()) < until_s:
            for symbol in chance.choices(list(prices), k=max(1, round(changes_s * _TICK_S))):
                prices[symbol] *= 1 + chance.gauss(0, 0.0001)
                await quotes.set(symbol, prices[symbol])
            await asyncio.sleep(max(0.0, now_s + _TICK_S - loop.time()))
        await quotes.set_many(prices)
        await quotes.set("closed", True)
    for symbol, price in prices.items():
        print(f"{symbol} {price:.5f}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], *map(float, sys.argv[2:])))
