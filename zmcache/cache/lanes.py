"""What is too much to be asked at once: in parts, a few at a time, within the call's own time.

A call may have any number of keys; what one connection lets be in flight is bounded (`Limits`), and so are the fills and loads that an owner lets
wait. So a large call travels in parts, each of which would have passed as a call of its own, in a few lanes: the next part of a lane goes when the
one before has ended. All lanes together take half of what one connection has, so that other calls find room beside it. A part that is slow holds up
its own lane.

Who asks one by one and is told that too much is being made (`Busy`) asks again, after a pause, while there is time.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

from zmcache.core.calls import Duration, check_timeout
from zmcache.core.wire import ROW_OVERHEAD_BYTES, Change, Limits
from zmcache.errors import Busy, DeadlineExceeded, MeshError, ZmcacheError

P = TypeVar("P")
R = TypeVar("R")

# Enough that a slow part leaves others that are quick; so few that a part is a message or more to each node.
LANES: Final = 4
_SHARE: Final = 2 * LANES
_PAUSE_S: Final = 0.02
_PAUSE_MAX_S: Final = 0.5


def keys_at_once(limits: Limits) -> int:
    """So many keys of one call travel in one part: whole messages, where there is room for any."""
    most = max(1, limits.inflight_requests // _SHARE)
    return most - most % limits.keys if most > limits.keys else most


def parts_of(changes: Sequence[Change], limits: Limits) -> Iterator[Sequence[Change]]:
    """Consecutive changes, as many as travel together; one that is larger by itself stands alone."""
    most, room = keys_at_once(limits), limits.inflight_bytes // _SHARE
    start = size = 0
    for at, change in enumerate(changes):
        size += len(change.value or b"") + 4 * len(change.key) + ROW_OVERHEAD_BYTES
        if at > start and (at - start >= most or size > room):
            yield changes[start:at]
            start, size = at, len(change.value or b"") + 4 * len(change.key) + ROW_OVERHEAD_BYTES
    if start < len(changes):
        yield changes[start:]


async def in_lanes(
    parts: Sequence[P], ask: Callable[[P, float], Awaitable[R]], timeout: Duration
) -> list[R | MeshError]:
    """What ``ask(part, seconds)`` gave for each part, or how it failed. Whatever else it raises is raised, and ends the others."""
    until_s = time.monotonic() + check_timeout(timeout)
    told: list[R | MeshError] = [DeadlineExceeded("the call's time was up before this was asked")] * len(parts)
    left = iter(range(len(parts)))

    async def lane() -> None:
        for at in left:
            remaining_s = until_s - time.monotonic()
            if remaining_s <= 0:
                return
            try:
                told[at] = await ask(parts[at], remaining_s)
            except MeshError as error:
                told[at] = error

    if len(parts) < 2:
        await lane()
        return told
    lanes = [asyncio.create_task(lane(), name="zmcache lane") for _ in range(min(LANES, len(parts)))]
    try:
        await asyncio.gather(*lanes)
    except BaseException:
        # One has failed, or the call was cancelled: then each has to tell its nodes, and leaves nothing behind.
        for task in lanes:
            task.cancel()
        await asyncio.wait(lanes)
        raise
    return told


async def get_in_lanes(
    keys: list[str],
    at_once: int,
    ask: Callable[[list[str], float], Awaitable[tuple[dict[str, bytes | None], dict[str, ZmcacheError]]]],
    timeout: Duration,
) -> tuple[dict[str, bytes | None], dict[str, ZmcacheError]]:
    """What ``ask(some of them, seconds)`` finds of these keys, in their order, and what failed."""
    parts = [keys[at : at + at_once] for at in range(0, len(keys), at_once)]
    values: dict[str, bytes | None] = {}
    errors: dict[str, ZmcacheError] = {}
    for part, how in zip(parts, await in_lanes(parts, ask, timeout), strict=True):
        found, failed = ({}, dict.fromkeys(part, how)) if isinstance(how, MeshError) else how
        values.update(found)
        errors.update(failed)
    return values, errors


async def patiently(ask: Callable[[float], Awaitable[R]], timeout: Duration) -> R:
    """What ``ask(seconds)`` gives, asked again where it is `Busy`, while there is time."""
    until_s = time.monotonic() + check_timeout(timeout)
    pause_s = _PAUSE_S
    while True:
        try:
            return await ask(max(0.001, until_s - time.monotonic()))
        except Busy:
            # In no step with the others who were told so at the same moment.
            sleep_s = pause_s * (0.5 + random.random())
            if time.monotonic() + sleep_s >= until_s:
                raise
            await asyncio.sleep(sleep_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)
