"""Django's own tests of caches and sessions, out of its sources, over the backend on three nodes. What is left out stands in django_suite/."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import django
import pytest

OURS = Path(__file__).parent / "django_suite"


def sources(folder: Path) -> Path:
    """Those of the Django that is installed here, from the package index."""
    done = subprocess.run(
        [sys.executable, *["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"],
         "--dest", str(folder), f"django=={django.__version__}"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if done.returncode:
        why = f"Django's sources cannot be had: {done.stderr[-500:]}"
        if os.environ.get("ZMCACHE_REQUIRE_SERVERS") == "1":
            pytest.fail(why)
        pytest.skip(why)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    (unpacked,) = (path for path in folder.iterdir() if path.is_dir())
    return unpacked


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_djangos_own_tests_pass_on_three_nodes(cluster: str, tmp_path: Path) -> None:
    tests = sources(tmp_path) / "tests"
    shutil.copy(OURS / "own_caches.py", tests / "cache")
    shutil.copy(OURS / "own_sessions.py", tests / "sessions_tests")
    done = subprocess.run(
        [sys.executable, "runtests.py", "--parallel=1", "-v2", "cache.own_caches", "sessions_tests.own_sessions"],
        cwd=tests,
        env={**os.environ, "ZMCACHE_TEST_ADDRESS": cluster, "PYTHONPATH": str(tests.parent)},
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-5000:]
    ran = re.search(r"Ran (\d+) tests", done.stderr)
    assert ran is not None
    assert int(ran[1]) > 240
    skipped = re.findall(r"^(test_\w+) .*skipped", done.stderr, re.MULTILINE)
    assert sorted(skipped) == ["test_cull", "test_cull_delete_when_store_empty", "test_zero_cull"]
