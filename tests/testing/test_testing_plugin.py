"""The pytest plugin, in runs of pytest of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from fresh_pytest import run_pytest

TESTS = """
import asyncio, sys

def test_nothing_of_zmcache_was_imported_before():
    assert "zmcache" not in sys.modules
    assert "zmcache_pytest" in sys.modules

def test_a_cluster(zmcache_cluster):
    async def main():
        async with zmcache_cluster(nodes=3, groups={"items": {"ttl": "1h"}}) as cluster:
            items = (await cluster.connect()).group("items")
            await items.set("k", b"v")
            assert await items.get("k") == b"v"
            cluster.advance("1h")
            assert await items.get("k") is None
    asyncio.run(main())
"""


@pytest.mark.parametrize("autoload", [True, False])
def test_the_fixture_works_in_a_run_of_its_own(tmp_path: Path, autoload: bool) -> None:
    (tmp_path / "test_with_the_plugin.py").write_text(TESTS)
    named = () if autoload else ("-p", "zmcache_pytest")
    done = run_pytest(tmp_path, *named, autoload=autoload)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout
    assert "warning" not in done.stdout


def test_pytest_describes_the_fixture(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "-p", "zmcache_pytest", "--fixtures", autoload=False)
    _, found, about = done.stdout.partition("zmcache_cluster -- ")
    assert found
    assert "Make zmcache clusters inside the test" in about
