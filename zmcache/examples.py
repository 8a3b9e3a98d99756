"""Loaders to start with: no database, every key known, the value made from the key. The configs in configs/ name them.

A key that begins with ``absent:`` is one that the backend does not know.
"""

from __future__ import annotations

import asyncio

VALUE_BYTES = 128
SLOW_S = 0.5


def value_of(key: str) -> bytes:
    """The value of a key: its own name, padded with dots to 128 bytes (a longer name stands whole)."""
    return f"value of {key} ".encode().ljust(VALUE_BYTES, b".")


async def echo(keys: list[str]) -> dict[str, bytes]:
    """A batch loader that answers at once."""
    return {key: value_of(key) for key in keys if not key.startswith("absent:")}


async def slow(keys: list[str]) -> dict[str, bytes]:
    """A batch loader that takes half a second for each batch, so that callers can be seen to share one load."""
    await asyncio.sleep(SLOW_S)
    return await echo(keys)
