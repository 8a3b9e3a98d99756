"""One cached function in four programs, a thousand callers: its body runs once in all of them, and once more when who ran it is killed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from eventually import eventually_blocking
from mesh_members import rings_agree
from processes import running

CLUSTER = """\
cluster: fills
etcd: embedded
groups:
  items: {budget: 16MiB}
nodes:
  - {id: node-1, listen: "tcp://127.0.0.1:0"}
  - {id: node-2, listen: "tcp://127.0.0.1:0"}
  - {id: node-3, listen: "tcp://127.0.0.1:0"}
"""

CALLERS = 250

# Its body leaves its process in a file, and ends when another file is there.
PROGRAM = """
import asyncio, os, pathlib, sys
import zmcache

address, lease, callers, runs, gate = sys.argv[1:]

async def main():
    async with zmcache.connect(address, timeout=30) as cache:
        items = cache.group("items")

        @items.cached(key="answer:{of}", ttl="1m", lease=lease)
        async def answer(of):
            with open(runs, "a") as file:
                print(os.getpid(), file=file)
            while not os.path.exists(gate):
                await asyncio.sleep(0.005)
            return b"the answer of %d" % of

        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        calls = [asyncio.ensure_future(answer(6)) for _ in range(int(callers))]
        await asyncio.sleep(0)
        print("asking", flush=True)
        found = await asyncio.gather(*calls, return_exceptions=True)
        print(found.count(b"the answer of 6"), [one for one in found if one != b"the answer of 6"][:3], flush=True)

asyncio.run(main())
"""


class Programs:
    """Four of them, asking, and what their function did."""

    def __init__(self, folder: Path, processes: list[subprocess.Popen[str]]) -> None:
        self.processes = processes
        self._runs, self._gate = folder / "runs", folder / "gate"

    def runs(self) -> list[int]:
        """The process of each run of the function's body, so far."""
        return [int(line) for line in self._runs.read_text().splitlines()] if self._runs.exists() else []

    def let_it_end(self) -> None:
        self._gate.touch()


@contextmanager
def four_programs(folder: Path, lease: str) -> Iterator[Programs]:
    (folder / "cluster.yaml").write_text(CLUSTER)
    with running("up", "cluster.yaml", folder=folder) as up, ExitStack() as stack:
        up.wait_line(r"^up +\| all 3 nodes serve")
        endpoints = [up.wait_line(rf"\| node-{at} serves at tcp://(\S+) ")[1] for at in (1, 2, 3)]
        # A change of owner may cost one more fill, so the last node's joining is to be over.
        asyncio.run(rings_agree(endpoints))
        address = ",".join(endpoints)
        files = (str(folder / "runs"), str(folder / "gate"))
        command = [sys.executable, "-c", PROGRAM, address, lease, str(CALLERS), *files]
        programs = []
        for _ in range(4):
            program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            programs.append(stack.enter_context(program))
            stack.callback(program.kill)
        for program in programs:
            assert program.stdout is not None
            assert program.stdout.readline() == "ready\n"
        for program in programs:
            assert program.stdin is not None
            program.stdin.write("go\n")
            program.stdin.flush()
        for program in programs:
            assert program.stdout is not None
            assert program.stdout.readline() == "asking\n"
        yield Programs(folder, programs)


def said(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline()


@pytest.mark.timeout(90)
def test_a_thousand_callers_in_four_programs_run_the_body_once(tmp_path: Path) -> None:
    with four_programs(tmp_path, "1m") as programs:
        eventually_blocking(lambda: bool(programs.runs()), programs.runs)
        programs.let_it_end()
        assert [said(program) for program in programs.processes] == [f"{CALLERS} []\n"] * 4
        assert len(programs.runs()) == 1


@pytest.mark.timeout(90)
def test_when_who_makes_it_is_killed_one_other_does_and_nobody_fails(tmp_path: Path) -> None:
    with four_programs(tmp_path, "3s") as programs:
        eventually_blocking(lambda: bool(programs.runs()), programs.runs)
        (killed,) = programs.runs()
        victim = next(program for program in programs.processes if program.pid == killed)
        victim.kill()
        victim.wait(10)
        programs.let_it_end()
        others = [program for program in programs.processes if program is not victim]
        assert [said(program) for program in others] == [f"{CALLERS} []\n"] * 3
        runs = programs.runs()
        assert len(runs) == 2
        assert runs[1] != killed
