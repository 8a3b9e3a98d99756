"""However many ask, wherever they are and whomever they ask: a missing key is loaded once in the whole cluster."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from real_cluster import real_cluster

ASKER = """
import asyncio, sys, zmcache

async def main():
    async with zmcache.connect(sys.argv[1], route="any", timeout=10) as client:
        items = client.group("items")
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        values = await asyncio.gather(*[items.get("cold") for _ in range(int(sys.argv[2]))])
        assert set(values) == {b"value of cold"}, set(values)

asyncio.run(main())
"""


def test_a_thousand_callers_in_three_processes_at_three_nodes_cause_one_load(tmp_path: Path) -> None:
    async def main() -> None:
        async with real_cluster(tmp_path, "a", "b", "c", load_s=0.5) as cluster:
            askers = [
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-c", ASKER, cluster.addresses[name], str(callers)),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
                for name, callers in (("a", 334), ("b", 333), ("c", 333))
            ]
            for asker in askers:
                assert asker.stdout is not None
                assert await asyncio.wait_for(asker.stdout.readline(), 20) == b"ready\n"
            await asyncio.wait_for(asyncio.gather(*[asker.communicate(b"\n") for asker in askers]), 30)
            assert [asker.returncode for asker in askers] == [0, 0, 0]
            assert cluster.loads() == ["cold"]

    asyncio.run(main())
