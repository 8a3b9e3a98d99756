"""Against real nodes, over real sockets: what the generator reports is what the nodes and their loader saw."""

from __future__ import annotations

import asyncio
import json
import struct
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import uvloop
from filling_target import plan_of
from processes import LOADGEN
from target_worlds import serving
from zmcache_loadgen.bench.servers import free_port
from zmcache_loadgen.errors import TargetRefused
from zmcache_loadgen.load.opening import opened
from zmcache_loadgen.load.plan import Closed, Destination, Open, Plan
from zmcache_loadgen.load.run import measure
from zmcache_loadgen.workloads import Synthetic, TraceWorkload, Uniform, Workload, parse_sizes, ycsb


def plan(
    address: str, workload: Workload, loop: Closed | Open | None = None, *, group: str = "filled", **given: Any
) -> Plan:
    route: Literal["owner", "any"] = given.pop("route", "owner")
    destination = Destination(target=f"zmcache:{address}", group=group, route=route)
    return replace(plan_of(workload, loop, **given), destination=destination)


async def shown_of(wanted: Plan) -> dict[str, Any]:
    return await measure(wanted, opened, stop=asyncio.Event())


@pytest.mark.parametrize("route", ["owner", "any"])
def test_a_replay_loads_each_distinct_key_once(tmp_path: Path, route: str) -> None:
    keys = [number * number % 997 for number in range(5000)]
    trace = tmp_path / "t.trace"
    trace.write_bytes(struct.pack(f">{len(keys)}I", *keys))

    async def measured() -> None:
        async with serving(tmp_path) as address:
            shown = await shown_of(plan(address, TraceWorkload(path=trace), Closed(callers=32), route=route))
        assert (shown["requests"], shown["errors"]["total"], shown["partial"]) == (5000, 0, None)
        assert shown["loads"] == {
            "loaded": len(set(keys)), "loaded_exact": True, "distinct_keys": len(set(keys)), "distinct_exact": True,
        }  # fmt: skip
        assert shown["tiers"]["owner"] + shown["tiers"]["load"] == 5000
        # callers of one key at one moment share one request, so the node may see fewer than were asked
        assert 0 < shown["nodes"]["only"]["requests"] <= 5000
        assert shown["nodes"]["only"]["state"] == "stayed"

    uvloop.run(measured())


def test_writes_are_stored_and_keys_that_do_not_exist_are_absent(tmp_path: Path) -> None:
    def keys(**given: Any) -> Synthetic:
        return Synthetic(keys=20, distribution=Uniform(), **{"prefix": "", **given})

    async def measured() -> None:
        async with serving(tmp_path) as address:
            sizes = parse_sizes("1-300")
            written = await shown_of(plan(address, keys(writes=1.0, sizes=sizes), requests=200))
            assert (written["latency_us"]["writes"]["count"], written["loads"]["loaded"]) == (200, 0)
            assert written["errors"]["total"] == 0
            read = await shown_of(plan(address, keys(), requests=200))
            assert (read["hit_ratio"], read["loads"]["loaded"]) == (1.0, 0)
            absent = await shown_of(plan(address, keys(prefix="absent:"), requests=200))
            assert (absent["tiers"]["absent"], absent["errors"]["total"]) == (200, 0)

    uvloop.run(measured())


@pytest.mark.parametrize("letter", list("abcdf"))
def test_ycsb_runs_and_every_value_is_what_was_written(tmp_path: Path, letter: str) -> None:
    async def measured() -> None:
        async with serving(tmp_path) as address:
            wanted = plan(
                address, ycsb(letter, keys=300), group="items", requests=2000, load_first=True, verify=True
            )  # fmt: skip
            shown = await shown_of(wanted)
        assert (shown["requests"], shown["errors"]["total"]) == (2000, 0)
        verified = shown["verify"]
        assert verified["wrong"] == verified["stale"] == verified["torn"] == verified["unverified"] == 0
        assert verified["checked"] > 500

    uvloop.run(measured())


def test_a_group_that_does_not_exist_refuses_the_run(tmp_path: Path) -> None:
    async def measured() -> None:
        async with serving(tmp_path) as address:
            with pytest.raises(TargetRefused, match="nothing"):
                await shown_of(plan(address, Synthetic(keys=9, distribution=Uniform()), group="nothing", duration_s=60))

    uvloop.run(measured())


CLUSTER = """
cluster: static
nodes:
  - {id: only, listen: "tcp://127.0.0.1:PORT", drain_timeout: 0s}
groups:
  items: {budget: 16MiB, loader: {import: "zmcache.examples:echo", batch: true}}
"""


def loadgen(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """The command in a process of its own: exit code, JSON, and what it printed."""
    report = folder / "out.json"
    done = subprocess.run(
        [*LOADGEN, "run", *arguments, "--json", str(report)], capture_output=True, text=True, timeout=90, check=False
    )
    assert report.exists(), done.stdout + done.stderr
    return done.returncode, json.loads(report.read_text()), done.stdout + done.stderr


def scripted(folder: Path, script: str) -> tuple[str, ...]:
    (folder / "cluster.yaml").write_text(CLUSTER.replace("PORT", str(free_port())))
    (folder / "script.yaml").write_text(script)
    return "--cluster", str(folder / "cluster.yaml"), "--script", str(folder / "script.yaml")


def test_a_script_runs_beside_the_load_and_its_events_are_in_the_result(tmp_path: Path) -> None:
    options = scripted(tmp_path, "[{at: 300ms, do: pause, node: only}, {at: 600ms, do: resume, node: only}]")
    verify = ("--verify", "--verify-loader", "zmcache.examples:value_of")
    code, shown, said = loadgen(
        tmp_path, *options, *verify, "--rate", "300", "--duration", "1500ms", "--keys", "100", "--prefix", ""
    )
    assert shown["requests"] == 450, said
    assert shown["errors"]["total"] == 0
    assert [event["what"] for event in shown["events"]] == ["pause only", "resume only"]
    assert all(event["ok"] for event in shown["events"])
    assert shown["latency_us"]["all"]["max"] > 200_000
    assert (shown["verify"]["checked"], shown["verify"]["wrong"]) == (450, 0)
    assert code in (0, 4), said  # on a busy machine the generator may have been late itself, and then says so


@pytest.mark.slow
def test_a_stall_of_half_a_second_is_in_the_open_loops_tail_and_not_in_the_closed_loops_median(tmp_path: Path) -> None:
    """The only node is stopped by SIGSTOP for 500 ms in a run of 20 s; no request times out."""
    options = scripted(tmp_path, "[{at: 8s, do: pause, node: only}, {at: 8500ms, do: resume, node: only}]")
    common = (*options, "--duration", "20s", "--keys", "1000", "--load", "--timeout", "5s")
    _, opened_loop, said = loadgen(tmp_path, *common, "--rate", "1000")
    assert opened_loop["errors"]["total"] == 0, said
    assert opened_loop["latency_us"]["all"]["p99.9"] > 400_000, said
    assert [event["ok"] for event in opened_loop["events"]] == [True, True]
    _, closed_loop, said = loadgen(tmp_path, *common, "--callers", "8")
    assert closed_loop["errors"]["total"] == 0, said
    assert closed_loop["latency_us"]["all"]["max"] > 400_000, said  # the stall was there
    assert closed_loop["latency_us"]["all"]["p50"] < 50_000, said
