"""The collector of a process that is a node; in a process of its own, since it is the whole process's."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, logging, sys
from zmcache.cli import collector

logging.basicConfig(level="WARNING", format="%(message)s", stream=sys.stdout)
collector.MAX_PAUSE_S = float(sys.argv[1])
before = len(gc.get_objects())
collector.settle()
assert len(gc.get_objects()) < before / 10, "what there was at the start is still looked at"
gc.collect()
"""


def lines_with(limit_s: float) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(limit_s)], check=True, capture_output=True, text=True, timeout=60
    )
    return done.stdout.splitlines()


def test_what_there_was_at_the_start_is_never_looked_at_again() -> None:
    assert lines_with(10.0) == []


def test_a_collection_that_stops_the_loop_for_too_long_is_reported() -> None:
    # The interpreter collects once more on its way out.
    assert lines_with(0.0)[0].startswith("a garbage collection of generation 2 stopped the loop for ")
