"""What is left of a function that failed: its exception as the cause, and nothing that outlives it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from eventually import eventually

from zmcache.errors import LoaderFailed
from zmcache.loaders import callable_loader


class InHand:
    """Something that a loader has in a variable when it fails."""


seen: list[weakref.ref[InHand]] = []


def sync(_: object) -> bytes:
    in_hand = InHand()
    seen.append(weakref.ref(in_hand))
    raise RuntimeError("with its hands full")


async def on_loop(_: object) -> bytes:
    return sync(_)


@pytest.mark.parametrize("function", [sync, on_loop])
@pytest.mark.parametrize("batch", [False, True])
def test_a_failed_function_keeps_nothing_alive_once_its_failure_is_forgotten(
    function: Callable[[Any], Any], batch: bool
) -> None:
    async def run() -> None:
        loader = callable_loader(function, batch=batch)
        gc.collect()
        gc.disable()  # nothing but references going may free it
        try:
            caught = (await asyncio.gather(loader.load(["k"]), return_exceptions=True))[0]
            assert isinstance(caught, LoaderFailed)
            assert isinstance(caught.__cause__, RuntimeError)
            assert seen[-1]() is not None  # the traceback of the cause still shows the author's frame
            del caught
            await eventually(lambda: seen[-1]() is None)
        finally:
            gc.enable()
        await loader.aclose()

    asyncio.run(run())
