"""What a target does when the thing behind it stands still, goes away, or will never answer."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop
from eventually import answered, eventually
from processes import free_port, taken_port
from target_worlds import MEMCACHED, REDIS, opened, with_target
from zmcache_loadgen.bench import servers
from zmcache_loadgen.errors import LoadgenError, TargetRefused, TargetUnavailable
from zmcache_loadgen.targets.base import Answer, Target
from zmcache_loadgen.targets.opening import open_target

LIMIT_S = 0.3


@asynccontextmanager
async def server_of(kind: str) -> AsyncIterator[servers.Server]:
    if kind == "zmcache":
        async with servers.node({"items": {"budget": "16MiB"}}) as server:
            yield server
    else:
        async with getattr(servers, kind)() as server:
            yield server


def all_threads_stand_still(pid: int) -> bool:
    """A stop reaches one thread of a process after the other."""
    states = [stat.read_text().rpartition(")")[2].split()[0] for stat in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(states) == {"T"}


async def read_or_none(target: Target, key: str) -> Answer | None:
    try:
        return await target.read(key)
    except LoadgenError:
        raise
    except Exception:
        return None


@pytest.mark.parametrize("kind", ["zmcache", REDIS, MEMCACHED])
def test_a_server_that_stands_still_costs_no_more_than_the_deadline_and_no_answer_goes_astray(kind: str) -> None:
    async def main() -> None:
        async with (
            server_of(kind) as server,
            open_target(f"{kind}:{server.address}", timeout_s=LIMIT_S, callers=3) as target,
        ):
            for number in range(6):
                await target.write(f"k{number}", b"%d" % number, 0.0)
            os.kill(server.pid, signal.SIGSTOP)
            try:
                await eventually(lambda: all_threads_stand_still(server.pid))
                began_s = time.monotonic()
                failures = await asyncio.gather(*(target.read(f"k{n}") for n in range(6)), return_exceptions=True)
                taken_s = time.monotonic() - began_s
            finally:
                os.kill(server.pid, signal.SIGCONT)
            assert all(isinstance(each, Exception) and str(each) for each in failures), failures
            assert not any(isinstance(each, LoadgenError) for each in failures)
            # Those who find all connections taken may wait for one, and then for the answer; the rest is the machine's.
            assert taken_s < 2 * LIMIT_S + 2.0
            for number in range(6):
                found = await answered(
                    lambda key=f"k{number}": read_or_none(target, key),  # type: ignore[misc]
                    lambda answer: answer is not None,
                    what="an answer again",
                    within_s=10,
                )
                assert found is not None
                assert found[1] == b"%d" % number

    uvloop.run(main())


@pytest.mark.parametrize("kind", [REDIS, MEMCACHED])
def test_a_server_that_dies_fails_requests_one_by_one(kind: str) -> None:
    async def main() -> None:
        async with (
            server_of(kind) as server,
            open_target(f"{kind}:{server.address}", timeout_s=2.0, callers=2) as target,
        ):
            await target.write("k", b"v", 0.0)
            os.kill(server.pid, signal.SIGKILL)
            for _ in range(5):
                assert await read_or_none(target, "k") is None

    uvloop.run(main())


@pytest.mark.parametrize("kind", ["zmcache", "redis", "memcached"])
def test_nobody_there_is_one_line_with_the_address(kind: str) -> None:
    async def main() -> None:
        port = free_port()
        with pytest.raises(TargetUnavailable, match=rf"127\.0\.0\.1:{port}") as raised:
            async with open_target(f"{kind}:127.0.0.1:{port}", callers=2):
                pass
        assert "\n" not in str(raised.value)

    uvloop.run(main())


@pytest.mark.parametrize("kind", ["redis", "memcached"])
def test_somebody_who_never_says_a_word_is_nobody(kind: str) -> None:
    async def main(port: int) -> None:
        with pytest.raises(TargetUnavailable, match=rf"127\.0\.0\.1:{port}"):
            async with open_target(f"{kind}:127.0.0.1:{port}", timeout_s=LIMIT_S, callers=2):
                pass

    with taken_port() as port:
        uvloop.run(main(port))


@pytest.mark.parametrize(("kind", "other"), [("redis", "memcached"), ("memcached", "redis")])
def test_the_wrong_kind_of_server_refuses_the_run(kind: str, other: str, request: pytest.FixtureRequest) -> None:
    async def main() -> None:
        async with server_of(other) as server:
            with pytest.raises(LoadgenError, match=kind):
                async with open_target(f"{kind}:{server.address}", timeout_s=LIMIT_S, callers=2):
                    pass

    request.applymarker(REDIS.marks[0])
    request.applymarker(MEMCACHED.marks[0])
    uvloop.run(main())


CALLS: list[Callable[[Target], object]] = [
    lambda target: target.read("k"),
    lambda target: target.read_many(["k"]),
    lambda target: target.read_many(["k", "l"]),
    lambda target: target.write("k", b"v", 0.0),
    lambda target: target.delete("k"),
]


@with_target("zmcache-owner", "zmcache-any", group="nothing")
async def test_a_group_that_does_not_exist_refuses_the_run(target: Target) -> None:
    for call in CALLS:
        with pytest.raises(TargetRefused, match="nothing"):
            await call(target)  # type: ignore[misc]


def test_an_embedded_node_knows_at_once_that_it_has_no_such_group(tmp_path: Path) -> None:
    async def main() -> None:
        with pytest.raises(TargetRefused, match="'nothing'; there are: items, filled"):
            async with opened("embedded", tmp_path, group="nothing"):
                pass

    uvloop.run(main())
