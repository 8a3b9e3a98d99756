"""What a command says while it waits."""

from __future__ import annotations

import io

from rich.console import Console

from zmcache.cli.progress import Progress
from zmcache.testing.clock import Clock


def test_into_a_file_what_happens_is_a_line_and_how_far_it_has_come_only_now_and_then() -> None:
    out, clock = io.StringIO(), Clock()
    with Progress(Console(file=out, width=20), clock) as progress:
        progress.now("b is leaving")
        progress.now("b is leaving", "100 keys")
        clock.advance(6)
        progress.now("b is leaving", "200 keys")
        progress.now("b is leaving", "200 keys")
        progress.now("b is [red]gone")
        progress.done("b has left, and this is longer than the line")
    assert out.getvalue().splitlines() == [
        "b is leaving",
        "b is leaving: 200 keys",
        "b is [red]gone",
        "b has left, and this is longer than the line",
    ]


def test_on_a_terminal_it_is_one_line_that_changes_and_what_is_done_stays() -> None:
    out = io.StringIO()
    with Progress(Console(file=out, force_terminal=True, width=60)) as progress:
        progress.now("b is leaving", "100 keys")
        progress.done("b has left")
    assert "b has left" in out.getvalue()
    assert "\x1b[?25h" in out.getvalue()  # the cursor is back
