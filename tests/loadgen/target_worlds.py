"""Every kind of target that keeps what is written to it, opened as ``--target`` opens it, with a real server behind it.

A server that is not installed is a skip that names it; with ZMCACHE_REQUIRE_SERVERS (CI sets it) it is a failure.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from zmcache_loadgen.bench import servers
from zmcache_loadgen.targets.base import Target
from zmcache_loadgen.targets.opening import open_target

import zmcache

CONFIG = """
node: {id: only, listen: "tcp://127.0.0.1:0", drain_timeout: 1s}
groups:
  items: {budget: 16MiB}
  filled: {budget: 16MiB, loader: {import: "zmcache.examples:echo", batch: true}}
"""


def needs(program: str) -> pytest.MarkDecorator:
    missing = shutil.which(program) is None and not os.environ.get("ZMCACHE_REQUIRE_SERVERS")
    return pytest.mark.skipif(missing, reason=f"{program} is not installed: apt-get install {program}")


REDIS = pytest.param("redis", marks=needs("redis-server"))
MEMCACHED = pytest.param("memcached", marks=needs("memcached"))
WITH_NODES = ["zmcache-owner", "zmcache-any", "embedded"]
WITHOUT_NODES = [REDIS, MEMCACHED, "dict"]
KEEPING = WITH_NODES + WITHOUT_NODES


def config_in(folder: Path) -> Path:
    path = folder / "node.yaml"
    path.write_text(CONFIG)
    return path


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[str]:
    """A node on this loop, and where it answers."""
    async with zmcache.Node.from_yaml(config_in(folder)) as node:
        yield node.member.endpoint.removeprefix("tcp://")


@asynccontextmanager
async def opened(
    kind: str, folder: Path, *, group: str = "items", timeout_s: float = 5.0, callers: int = 4
) -> AsyncIterator[Target]:
    """A target of that kind, with nothing in it."""
    kind, _, route = kind.partition("-")

    def target(text: str) -> AbstractAsyncContextManager[Target]:
        return open_target(text, group=group, route=route or "owner", timeout_s=timeout_s, callers=callers)

    if kind == "zmcache":
        async with serving(folder) as address, target(f"zmcache:{address}") as one:
            yield one
    elif kind == "embedded":
        async with target(f"embedded:{config_in(folder)}") as one:
            yield one
    elif kind in ("redis", "memcached"):
        async with getattr(servers, kind)() as server, target(f"{kind}:{server.address}") as one:
            yield one
            if kind == "memcached":
                os.kill(server.pid, signal.SIGKILL)  # asked to end, it takes a second to
    else:
        async with target(kind) as one:
            yield one


def with_target(*kinds: object, **options: object) -> Callable[..., Callable[..., None]]:
    """The test, once for each of these kinds of target, each fresh."""

    def decorated(test: Callable[[Target], Awaitable[None]]) -> Callable[..., None]:
        @pytest.mark.parametrize("kind", kinds)
        def run(kind: str, tmp_path: Path) -> None:
            async def main() -> None:
                async with opened(kind, tmp_path, **options) as target:  # type: ignore[arg-type]
                    await test(target)

            uvloop.run(main())

        return run

    return decorated
