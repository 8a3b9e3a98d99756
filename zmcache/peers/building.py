"""A ring built in a thread, beside a loop that goes on answering.

The interpreter hands itself over only after 5 ms when another thread wants it, and a turn of the loop gives it away at each system call: with a
thousand nodes, whose ring takes a second to build, a turn took 20 ms. So the builder gives it away by itself, about every half millisecond.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Final

from zmcache.core.ring import Member, Ring

# Zero would be given away and taken back before the other thread has woken.
_REST_S: Final = 0.00005
_MANY: Final = 64  # members; fewer are a few steps


def _rest() -> None:
    time.sleep(_REST_S)


async def build_ring(members: Iterable[Member], revision: int, previous: Ring) -> Ring:
    """`Ring.build`, off the loop. Raises as it does."""
    every = tuple(members)
    rest = _rest if len(every) + len(previous) > _MANY else None
    return await asyncio.get_running_loop().run_in_executor(
        None, lambda: Ring.build(every, revision, previous=previous, rest=rest)
    )
