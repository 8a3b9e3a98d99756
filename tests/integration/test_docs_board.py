"""docs/examples: what feed.py sets, board.py draws."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from processes import run_python
from test_same_program_everywhere import EXAMPLES, three_nodes


def test_a_board_shows_what_a_feed_sets_and_ends_with_its_last_prices(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder: Path = tmp_path_factory.mktemp("n")
    with three_nodes(folder, over="tcp") as endpoints:
        address = "zmcache://" + ",".join(endpoint.removeprefix("tcp://") for endpoint in endpoints)
        board = subprocess.Popen(
            [sys.executable, "-W", "error", str(EXAMPLES / "board.py"), address],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            closing = run_python((EXAMPLES / "feed.py").read_text(), address, "2", folder=folder)
            said, complaints = board.communicate(timeout=30)
        finally:
            board.kill()
            board.wait()
    assert (board.returncode, complaints) == (0, "")
    drawn = said.splitlines()
    assert len(drawn) == len(closing) == 4
    for line, last in zip(drawn, closing, strict=True):
        assert line.startswith(last + " ")
        seen, skipped = int(line.split()[-4]), int(line.split()[-2])
        # Some 500 changes of each; a board that begins late has seen the later ones.
        assert seen + skipped > 50
