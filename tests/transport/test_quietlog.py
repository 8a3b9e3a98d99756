"""Logging at a rate that the peers do not decide."""

from __future__ import annotations

import logging

import pytest

from zmcache.transport.quietlog import WINDOW_S, QuietLog


def test_a_flood_is_one_line_a_window_and_the_next_line_tells_how_many(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    log = QuietLog(logging.getLogger("quiet"), clock=lambda: now[0])
    for number in range(1000):
        log.warning("shape", "bad frame from %s", number)
    log.warning("slow", "another kind is not held back by it")
    now[0] = WINDOW_S
    log.warning("shape", "bad frame from %s", "somebody")
    assert [record.getMessage() for record in caplog.records] == [
        "bad frame from 0",
        "another kind is not held back by it",
        "bad frame from somebody (and 999 more like it before)",
    ]
