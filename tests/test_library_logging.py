"""zmcache logs as a library does: a program that has set up no logging sees nothing of it, one that has sees it all."""

from __future__ import annotations

from pathlib import Path

from processes import run_python

PROGRAM = """
import logging, sys
import zmcache
logging.getLogger("zmcache.node").warning("not to be seen")
logging.basicConfig(stream=sys.stdout, format="%(message)s")
logging.getLogger("zmcache.node").warning("to be seen")
"""


def test_what_zmcache_logs_is_the_programs_to_show(tmp_path: Path) -> None:
    assert run_python(PROGRAM, folder=tmp_path) == ["to be seen"]
