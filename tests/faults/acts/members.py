"""What befalls the membership: nodes come and go, and etcd dies, stands still, forgets, or takes a lease away; a disk has no room."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from faults.cluster import LEASE_S, compact, revoke_lease
from faults.record import PAUSE
from faults.stage import Stage

NEWCOMER: Final = "e"
_AWAY_S: Final = 5.0


async def join(stage: Stage) -> None:
    await stage.cluster.start(NEWCOMER)


async def leave(stage: Stage) -> None:
    await stage.cluster.leave(stage.victim)


def amid_changes(act: Callable[[Stage], Awaitable[None]]) -> Callable[[Stage], Awaitable[None]]:
    """The same while one node joins and another one leaves."""

    async def both(stage: Stage) -> None:
        async def changes() -> None:
            await stage.pass_time(0.3)
            await asyncio.gather(stage.cluster.start(NEWCOMER), stage.cluster.leave(stage.leaver))

        await asyncio.gather(act(stage), changes())

    return both


async def rolling_restart(stage: Stage) -> None:
    for name in sorted(stage.cluster.nodes):
        await stage.cluster.leave(name)
        await stage.cluster.start(name)
        await stage.cluster.wait_rest(30.0)


async def kill_etcd(stage: Stage) -> None:
    await stage.cluster.kill_etcd()
    await stage.pass_time(_AWAY_S)
    await stage.cluster.etcd.start()


async def stop_etcd(stage: Stage) -> None:
    pid = stage.cluster.etcd.pid
    os.kill(pid, signal.SIGSTOP)
    try:
        await stage.pass_time(2 * LEASE_S + 1)
    finally:
        os.kill(pid, signal.SIGCONT)
    await stage.pass_time(LEASE_S)


async def compact_etcd(stage: Stage) -> None:
    await stage.cluster.in_etcd(compact)
    await stage.pass_time(2.0)


async def revoke(stage: Stage) -> None:
    # Off the list for a moment, it has to take what it holds for old: others may have been written to.
    with stage.outage(stage.victim, PAUSE):
        await stage.cluster.in_etcd(revoke_lease, stage.victim)
        await stage.pass_time(LEASE_S)


async def empty_etcd(stage: Stage) -> None:
    await stage.cluster.kill_etcd()
    stage.cluster.forget_etcd()
    await stage.cluster.etcd.start()
    await stage.pass_time(2 * LEASE_S)


def full_disk(folder: Path) -> tuple[str, ...]:
    """What runs a command that sees a disk at this folder, and no room on it."""
    folder.mkdir(exist_ok=True)
    script = 'mount -t tmpfs -o size=16k tmpfs "$0" && { head -c 100000 /dev/zero > "$0/full"; exec "$@"; }'
    return ("unshare", "--user", "--map-root-user", "--mount", "--", "sh", "-c", script, str(folder))


def no_full_disk(folder: Path) -> str | None:
    """Why there can be no such disk on this machine; None: there can."""
    try:
        probe = subprocess.run(
            [*full_disk(folder), "sh", "-c", 'printf x > "$0/more" && exit 1; test -e "$0/full"', str(folder)],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError as error:
        return f"a disk without room cannot be made here: {error}"
    return None if probe.returncode == 0 else f"a disk without room cannot be made here: {probe.stderr.strip()[-200:]}"


async def change_members_without_room(stage: Stage) -> None:
    """All nodes have to remember new members, and cannot."""
    await stage.cluster.start(NEWCOMER)
    await stage.cluster.kill_etcd()
    await stage.pass_time(1.0)
    await stage.cluster.etcd.start()
    await stage.cluster.leave(NEWCOMER)
