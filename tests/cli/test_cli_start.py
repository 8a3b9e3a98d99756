"""A node starts soon: the command line takes along only what it needs."""

from __future__ import annotations

from pathlib import Path

from processes import run_python

PROGRAM = """
import sys
import zmcache.cli, zmcache.node
print(sorted({name.partition(".")[0] for name in sys.modules} & set(sys.argv[1:])))
"""


def test_what_draws_tables_and_what_asks_etcd_is_left_for_who_needs_it(tmp_path: Path) -> None:
    # Rich alone takes a fifth of the start.
    assert run_python(PROGRAM, "rich", "etcd3", "grpc", "sqlalchemy", folder=tmp_path) == ["[]"]
    assert run_python(PROGRAM, "click", folder=tmp_path) == ["['click']"]
