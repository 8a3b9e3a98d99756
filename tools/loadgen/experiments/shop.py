"""What is in the database, and what is asked of it: the items of some shops, and what each shop has sold.

A page of an item shows the item and what its shop has sold in all: a look-up by primary key, and three aggregates over
the shop's sales (how many, for how much, to how many different buyers). Such a query has PostgreSQL compute for about a
millisecond, where a look-up alone costs it almost nothing: a cache is put before queries that are worth sparing.

Everything follows from the numbers of item and sale, so that `value_of` knows the answer to every query without asking.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final

SHOPS: Final = 100
SALES: Final = 2_000
"""Of each shop."""

_BUYERS: Final = 1_500
_ITEM_BYTES: Final = 450  # with what its shop sold, a value has about 500
_WORDS: Final = (
    "plain steel kettle with a wooden handle and a lid that stays on; holds two litres and whistles softly. "
)

ABOUT: Final = f"an item by its primary key, with number, sum and distinct buyers of its shop's {SALES:,} sales"
"""The query, in words."""

QUERY: Final = (
    "SELECT items.id, {item} || (SELECT ' sold ' || count(*) || ' for ' || sum(amount) || ' to ' || count(DISTINCT buyer)"
    " FROM sales WHERE sales.shop = items.shop) FROM items WHERE items.id IN :keys"
)
"""``{item}``: the item's own bytes as text, which each database has its own word for."""

SCHEMA: Final = (
    "CREATE TABLE items (id TEXT PRIMARY KEY, shop INTEGER NOT NULL, value {bytes} NOT NULL)",
    "CREATE TABLE sales (shop INTEGER NOT NULL, buyer INTEGER NOT NULL, amount INTEGER NOT NULL)",
)
INDEX: Final = "CREATE INDEX sales_of_a_shop ON sales (shop)"


def items(rows: int) -> Iterator[tuple[str, int, bytes]]:
    """(id, shop, value) of the keys ``0`` to ``rows - 1``."""
    return ((str(number), number % SHOPS, _item(str(number))) for number in range(rows))


def sales() -> Iterator[tuple[int, int, int]]:
    """(shop, buyer, amount), shop by shop."""
    return ((shop, *sale) for shop in range(SHOPS) for sale in _sales_of(shop))


def value_of(key: str) -> bytes:
    """What the query answers for a key that is there."""
    return _item(key) + _sold(int(key) % SHOPS)


def _item(key: str) -> bytes:
    text = f"item {key}: "
    return (text + _WORDS * (_ITEM_BYTES // len(_WORDS) + 1))[:_ITEM_BYTES].encode()


def _sales_of(shop: int) -> Iterator[tuple[int, int]]:
    return (((number * 7 + shop) * number % _BUYERS, (number * 37 + shop * 11) % 1000) for number in range(SALES))


@functools.cache
def _sold(shop: int) -> bytes:
    buyers, amounts = zip(*_sales_of(shop), strict=True)
    return f" sold {SALES} for {sum(amounts)} to {len(set(buyers))}".encode()
