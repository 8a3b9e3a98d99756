"""The demonstration, as a newcomer runs it."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from zmcache_loadgen.demo_cluster import make_database, value_of


def test_the_database_holds_what_the_demonstration_compares_with(tmp_path: Path) -> None:
    make_database(tmp_path / "items.db", 50)
    with contextlib.closing(sqlite3.connect(tmp_path / "items.db")) as database:
        rows = dict(database.execute("SELECT key, value FROM items"))
    assert rows == {str(row): value_of(str(row)) for row in range(50)}


@pytest.mark.slow
def test_a_node_joins_and_another_leaves_and_no_request_fails(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zmcache_loadgen.demo"], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "it was loaded once." in done.stdout, done.stdout
    assert ", 0 errors." in done.stdout
    assert "No request failed." in done.stdout
    # Of four equal nodes one that joins, or leaves, has about a quarter.
    moved = re.findall(r"([\d,]+) (?:of 20,000 )?keys have another owner", done.stdout)
    assert len(moved) == 2
    assert all(2_000 < int(keys.replace(",", "")) < 9_000 for keys in moved), done.stdout
