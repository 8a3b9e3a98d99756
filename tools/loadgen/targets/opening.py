"""From what stands behind ``--target`` to an open target: the one place that knows all kinds.

    zmcache:HOST:PORT[,HOST:PORT...]   embedded:FILE   redis:HOST:PORT   memcached:HOST:PORT   dict   noop

An address of version 6 stands in brackets: ``redis:[::1]:6379``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Final

from ..errors import TargetRefused
from .base import Target
from .embedded import open_embedded
from .memcached import open_memcached
from .plain import DictTarget, NoopTarget
from .redis import open_redis
from .zmcache_client import open_zmcache

FORMS: Final = "zmcache:HOST:PORT[,HOST:PORT...], embedded:FILE, redis:HOST:PORT, memcached:HOST:PORT, dict or noop"


@asynccontextmanager
async def open_target(
    text: str, *, group: str = "items", route: str = "owner", timeout_s: float = 3.0, callers: int = 32
) -> AsyncIterator[Target]:
    """Open what ``text`` names, for as long as the context lasts.

    ``group``: the group of a zmcache target; ``route``: ``"owner"`` or ``"any"``, of zmcache by client. ``timeout_s``:
    how long a call may take, in seconds. ``callers``: how many ask at once; redis and memcached get so many connections.

    Raises `TargetRefused` for what cannot be understood, needs a package that is not installed, or will never do what
    is asked; `TargetUnavailable` when nobody answers.
    """
    async with _opener(text, group, route, timeout_s, callers) as target:
        yield target


def _opener(text: str, group: str, route: str, timeout_s: float, callers: int) -> AbstractAsyncContextManager[Target]:
    kind, colon, where = text.partition(":")
    if kind == "zmcache" and where:
        return open_zmcache(where, group, route=route, timeout_s=timeout_s)
    if kind == "embedded" and where:
        return open_embedded(where, group, timeout_s=timeout_s)
    if kind == "redis":
        return open_redis(*_address(text, where), timeout_s=timeout_s, connections=callers)
    if kind == "memcached":
        return open_memcached(*_address(text, where), timeout_s=timeout_s, connections=callers)
    if kind == "dict" and not colon:
        return nullcontext(DictTarget())
    if kind == "noop" and not colon:
        return nullcontext(NoopTarget())
    raise TargetRefused(f"target: expected {FORMS}, found {text!r}")


def _address(text: str, where: str) -> tuple[str, int]:
    host, _, port = where.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise TargetRefused(f"target: expected {text.partition(':')[0]}:HOST:PORT, found {text!r}")
    return host, int(port)
