"""A recorded trace against three fresh nodes: every request is answered, and every key is loaded once in the whole cluster."""

from __future__ import annotations

import asyncio
import json
import lzma
import random
import struct
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from processes import LOADGEN
from real_cluster import real_cluster

REQUESTS, KEYS = 20_000, 3_000


def write_trace(file: Path) -> set[str]:
    """Some keys often, many now and then, in the form of the shipped traces; the keys that it holds."""
    rng = random.Random(12)
    # Spread over all 32 bits: what is read with the wrong sign or byte order is another key.
    numbers = [rng.getrandbits(32) for _ in range(KEYS)]
    asked = [numbers[min(int(rng.paretovariate(0.4)) - 1, KEYS - 1)] for _ in range(REQUESTS - KEYS)] + numbers
    rng.shuffle(asked)
    file.write_bytes(lzma.compress(struct.pack(f">{REQUESTS}I", *asked)))
    return {str(number) for number in asked}


async def replay(trace: Path, nodes: str, route: str) -> dict[str, Any]:
    """What the command reports, once it has ended well."""
    report = trace.with_suffix(".json")
    command = await asyncio.create_subprocess_exec(
        *(*LOADGEN, "replay", str(trace), "--nodes", nodes, "--route", route),
        *("--callers", "32", "--no-progress", "--json", str(report)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(command.communicate(), 90)
    assert report.exists(), out.decode()
    result: dict[str, Any] = json.loads(report.read_text())
    # On a busy machine the generator may have been late: it has asked for everything even so, and says so by 4 and in words.
    assert command.returncode == (4 if result["bottlenecks"] else 0), out.decode()
    return result


@pytest.mark.parametrize("route", ["owner", "any"])
def test_a_replayed_trace_loads_each_key_once_in_the_whole_cluster(tmp_path: Path, route: str) -> None:
    trace = tmp_path / "synthetic.trace.xz"
    keys = write_trace(trace)

    async def main() -> None:
        async with real_cluster(tmp_path, "a", "b", "c") as cluster:
            report = await replay(trace, ",".join(cluster.addresses.values()), route)
            loads = Counter(cluster.loads())
        assert (report["requests"], report["errors"]["total"], report["partial"]) == (REQUESTS, 0, None)
        assert {key: count for key, count in loads.items() if count > 1} == {}
        assert loads.keys() == keys
        assert report["loads"] == {
            "loaded": len(keys), "distinct_keys": len(keys), "loaded_exact": True, "distinct_exact": True
        }  # fmt: skip
        assert set(report["nodes"]) == {"a", "b", "c"}

    asyncio.run(main())
