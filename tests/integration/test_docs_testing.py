"""The examples of docs/testing.md are run as they stand: tests by pytest, programs by Python."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import zmcache.testing

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "testing.md").read_text(), re.DOTALL)


def test_there_are_examples() -> None:
    assert len(BLOCKS) == 4


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_an_example_runs_without_a_word(block: str, tmp_path: Path) -> None:
    if "def test_" in block:
        names: dict[str, object] = {}
        exec(block, names)
        tests = [test for name, test in names.items() if name.startswith("test_")]
        assert tests
        for test in tests:
            test(zmcache.testing.Cluster)  # type: ignore[operator]  # the plugin itself has tests of its own
        return
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", block],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    # What a callback took is the machine's to answer for.
    said = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert (done.returncode, done.stdout, said) == (0, "", [])
