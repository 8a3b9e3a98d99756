"""A part of the suite, with each test run; the whole of it is `make faults`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faults.catalogue import FAULTS
from faults.cluster import KNOWS_COPIES

TESTS = Path(__file__).parent.parent


def faults(*arguments: str, folder: Path, limit_s: float = 110) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "faults", *arguments],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, timeout=limit_s, check=False,
    )  # fmt: skip


def test_a_few_faults_break_no_promise(tmp_path: Path) -> None:
    # Without copies one crash may take what one node acknowledged, and all else holds just the same.
    one_copy = [] if KNOWS_COPIES else ["--copies=1", "--acks=1"]
    done = faults("--quick", "--json=table.json", *one_copy, folder=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((tmp_path / "table.json").read_text())
    assert [row["fault"] for row in told["faults"]] == [fault.name for fault in FAULTS if fault.quick]
    for row in told["faults"]:
        assert row["operations"] > 0
        assert row["fault"] in done.stdout


@pytest.mark.slow
def test_what_is_promised_with_two_copies_is_seen_to_be_broken_with_one(tmp_path: Path) -> None:
    done = faults("--only=kill", "--sabotage", "--json=table.json", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    (row,) = json.loads((tmp_path / "table.json").read_text())["faults"]
    assert row["broken"]["P8"] > 0
    assert row["lost"] > 0
    assert (tmp_path / "results/faults/kill/ops-1").exists(), "the record of a run that did not hold is kept"


def test_each_fault_has_a_name_of_its_own_and_the_list_has_them_all(tmp_path: Path) -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names)
    listed = faults("--list", folder=tmp_path)
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines()] == names


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only=nothing-like-it"], "is not one of none, kill"),
        (["--copies=1", "--acks=2"], "more than --copies"),
        (["--seed=x"], "--seed"),
    ],
)
def test_a_wrong_option_is_told_in_a_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = faults(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
