"""The policy is changed in a YAML file, and three real nodes hit as much more of a trace as the simulator said that they would."""

from __future__ import annotations

import itertools
import json
import random
import struct
import subprocess
from pathlib import Path

import pytest
from processes import LOADGEN

REQUESTS, ITEMS = 60_000, 1_500
CLUSTER = """
nodes:
  - {{id: a, listen: "tcp://127.0.0.1:0"}}
  - {{id: b, listen: "tcp://127.0.0.1:0"}}
  - {{id: c, listen: "tcp://127.0.0.1:0"}}
etcd: embedded
groups:
  items:
    policy: {policy}
    budget: {budget}
    hot_share: 0  # the simulated budget is for what the nodes own
    item_share: 1
    loader: {{import: "zmcache.examples:echo", batch: true}}
"""
BUDGET = ITEMS * 400 // 3  # bytes a node; an entry of this trace costs about 350 to 400


def write_trace(file: Path) -> None:
    """Half of it popular keys, half a round through more keys than there is room for: what LRU is bad at."""
    source = random.Random(8)
    rounds = itertools.cycle(range(200_000, 202_500))
    asked = [
        next(rounds) if source.random() < 0.5 else 100_000 + min(int(source.paretovariate(1.0)), 3_000)
        for _ in range(REQUESTS)
    ]
    file.write_bytes(struct.pack(f">{REQUESTS}I", *asked))


def loadgen(*arguments: object, ends: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run([*LOADGEN, *map(str, arguments)], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode in ends, done.stdout + done.stderr


@pytest.mark.slow
def test_another_policy_in_the_file_hits_what_the_simulator_said(tmp_path: Path) -> None:
    trace, report = tmp_path / "scans.int32", tmp_path / "report.json"
    write_trace(trace)
    policies = ("lru", "s3-fifo")
    loadgen(
        "simulate", "--trace", trace, "--size", f"{3 * BUDGET}B", "--policy", ",".join(policies),
        "--alone", "--no-overhead", "--json", report,
    )  # fmt: skip
    said = {row["cache"]: row["hit_ratio"] for row in json.loads(report.read_text())["rows"]}
    assert said["lru"] + 0.05 < said["s3-fifo"], "else nothing would be shown"
    for policy in policies:
        cluster = tmp_path / f"{policy}.yaml"
        cluster.write_text(CLUSTER.format(policy=policy, budget=BUDGET))
        # The generator may have been late on a busy machine, and says so with 4; the order of what it asks is the trace's.
        loadgen("replay", trace, "--cluster", cluster, "--callers", 2, "--no-progress", "--json", report, ends=(0, 4))
        seen = json.loads(report.read_text())
        assert seen["errors"]["total"] == 0
        assert seen["loads"]["loaded_exact"]
        hit_ratio = 1 - seen["loads"]["loaded"] / seen["reads"]
        assert hit_ratio == pytest.approx(said[policy], abs=0.01), policy
