"""File descriptors of a node's process: as many as the system lets it have, and a word when the cluster has outgrown them.

A node has a connection to each other node and one from it, and one from each client. A limit that is too small shows late and oddly: as
peers that cannot be reached. The usual soft limit, 1,024, is there for programs that call `select`, which nothing here does.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable
from contextlib import suppress
from typing import Final

# Four for the connection to it (the socket, its mailbox, both ends of its monitor) and one for the connection from it; counted in /proc.
PER_PEER: Final = 5
# Listener, loop and log take 20; the rest is for clients, loaders' connections and etcd.
OTHERS: Final = 100
_MOST: Final = 1 << 20  # where the hard limit is none
_LOOK_S: Final = 30.0

_log = logging.getLogger("zmcache.serve")


def raise_limit() -> int:
    """Raise the soft limit of this process to the hard one; the limit as it is then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = _MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < goal:
        # macOS has a further limit of its own, below what it says.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return _MOST if soft == resource.RLIM_INFINITY else soft


def shortage(members: int, limit: int) -> str | None:
    """What to say of ``limit`` descriptors for a node in a ring of so many members; None where they are enough."""
    needed = OTHERS + PER_PEER * (members - 1)
    if needed <= limit:
        return None
    return f"{limit} file descriptors are too few for {members} nodes: raise `ulimit -Hn` to {needed}, and one for each client"


async def warn_of_shortage(count_members: Callable[[], int], limit: int) -> None:
    """Log, once, that the descriptors are too few, now or when the ring has grown."""
    while (text := shortage(count_members(), limit)) is None:  # noqa: ASYNC110 - a ring that grows sets no event
        await asyncio.sleep(_LOOK_S)
    _log.warning("%s", text)
