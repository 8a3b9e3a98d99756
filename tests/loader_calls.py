"""One call of a loader and its end, for tests that care about neither."""

from __future__ import annotations

import asyncio

from zmcache.loaders import BatchLoader


def load_and_close(loader: BatchLoader, *keys: str) -> dict[str, bytes]:
    """What the loader gives for these keys. Raises what the load raises; the loader is closed either way."""

    async def run() -> dict[str, bytes]:
        try:
            return dict(await loader.load(list(keys)))
        finally:
            await loader.aclose()

    return asyncio.run(run())
