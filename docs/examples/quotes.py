"""Stock quotes through a cache: every call once, with the same lines as output wherever the cache is.

In this process:

    python docs/examples/quotes.py

On three nodes (`zmcache up docs/examples/quotes.yaml`):

    python docs/examples/quotes.py zmcache://127.0.0.1:7501,127.0.0.1:7502,127.0.0.1:7503
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from itertools import count
from typing import Any

import msgspec

import zmcache


class Quote(msgspec.Struct, frozen=True):
    """What a value of the typed group is; a frozen dataclass would do as well."""

    symbol: str
    price: int
    """In cents."""


class Exchange:
    """Where prices come from. Slow, and with a new price for each question, so that it shows whether it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self._prices = count(10_000, 25)

    async def price(self, symbol: str) -> int | None:
        """In cents; None for a symbol that is not listed."""
        self.asked += 1
        await asyncio.sleep(0.02)
        return None if symbol.startswith("?") else next(self._prices)


async def cached_prices(cache: zmcache.Cache) -> None:
    """A function that is cached: made once for all who ask, and given on past its life while it is made anew."""
    prices = cache.group("prices", codec="json")
    await prices.clear()  # of an earlier run
    exchange = Exchange()

    @prices.cached(key="price:{symbol}", ttl="1s", stale_ttl="1m", negative_ttl="10m")
    async def price(symbol: str) -> int | None:
        return await exchange.price(symbol)

    print("a hundred callers:", set(await asyncio.gather(*(price("ACME") for _ in range(100)))))
    print("the exchange was asked:", exchange.asked)
    print("its key:", price.key_for("ACME"))

    await asyncio.sleep(1.2)  # past its second
    item = await price.fetch("ACME")
    print("past its life:", item.value, item.source)
    while (newer := await price("ACME")) == item.value:  # noqa: ASYNC110 - nothing tells when
        await asyncio.sleep(0.02)
    print("made anew meanwhile:", newer)

    print("not listed:", await price("?"), await price("?"))
    print("refreshed:", await price.refresh("ACME"))
    print("forgotten:", await price.invalidate("ACME"), await price.invalidate("ACME"))
    print("asked in all:", exchange.asked, "by this process:", price.statistics().fills)


async def plain_calls(cache: zmcache.Cache) -> None:
    """A group whose values are of one type."""
    quotes = cache.group("quotes", type=Quote)
    await quotes.clear()

    await quotes.set("ACME", Quote("ACME", 12_550), ttl="10m")
    print("set:", await quotes.get("ACME"))
    print("nobody has:", await quotes.get("NONE"), await quotes.get("NONE", "a default"))

    failed = await quotes.set_many({symbol: Quote(symbol, 100 * n) for n, symbol in enumerate("ABCDE")}, ttl=600)
    many = await quotes.get_many(["A", "E", "Z", "C"])
    print("set_many:", failed, "get_many:", {symbol: quote.price for symbol, quote in many.items()})

    print("add:", await quotes.add("B", Quote("B", 1)), await quotes.add("F", Quote("F", 500)))
    print("touch:", await quotes.touch("F", ttl=timedelta(hours=1)), await quotes.touch("Z", ttl=60))
    item = await quotes.fetch("F")
    if item is None or item.ttl_s is None:
        raise SystemExit("F was touched, and is to end within the hour")
    print("fetch:", item.value.price if item.value else None, 3000 < item.ttl_s <= 3600, item.source)
    print("delete:", await quotes.delete("F"), await quotes.delete("F"), await quotes.delete_many(["D", "E", "Z"]))


async def one_after_another(cache: zmcache.Cache) -> None:
    """Changes that depend on what is there: a token for each, so that nobody's change is lost."""
    quotes = cache.group("quotes", type=Quote)

    async def raise_by(cents: int) -> None:
        while True:
            quote, token = await quotes.gets("ACME") or (None, 0)
            if quote is None:
                raise LookupError("nobody quotes ACME")
            if await quotes.cas("ACME", Quote("ACME", quote.price + cents), token, ttl="10m"):
                return

    await asyncio.gather(*(raise_by(cents) for cents in (1, 2, 3, 4)))
    print("four changes at once:", await quotes.get("ACME"))
    print("cas of what is gone:", await quotes.cas("Z", Quote("Z", 1), 1))

    counts = cache.group("counts")
    await counts.clear()
    sums = await asyncio.gather(*(counts.incr("trades", initial=1) for _ in range(10)))
    print("incr:", sorted(number or 0 for number in sums), await counts.incr("trades", -4), await counts.get("trades"))
    print("incr of nothing:", await counts.incr("none"))


async def made_where_missing(cache: zmcache.Cache) -> None:
    """``get_or_set``: as a cached function, for a value whose key is at hand."""
    quotes = cache.group("quotes", type=Quote)
    exchange = Exchange()

    async def ask() -> Quote:
        return Quote("INIT", await exchange.price("INIT") or 0)

    answers: list[Any] = await asyncio.gather(*(quotes.get_or_set("INIT", ask, ttl="1h") for _ in range(10)))
    print("get_or_set:", {quote.price for quote in answers}, "asked:", exchange.asked)
    print("from where:", (await quotes.fetch_or_set("INIT", ask)).source)


async def main(address: str) -> None:
    """All of it, one after another."""
    async with zmcache.connect(address) as cache:
        await cached_prices(cache)
        await plain_calls(cache)
        await one_after_another(cache)
        await made_where_missing(cache)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "mem://"))
