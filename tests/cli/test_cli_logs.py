"""One line a record, whatever it holds."""

from __future__ import annotations

import logging
import re
import sys

from zmcache.cli.logs import OneLine


def record(message: str, **more: object) -> logging.LogRecord:
    return logging.makeLogRecord(
        {"name": "zmcache.x", "levelname": "WARNING", "levelno": 30, "msg": message, "created": 0.25, "msecs": 250.0}
        | more
    )


def test_a_record_begins_with_the_time_in_utc() -> None:
    assert OneLine().format(record("hello")) == "1970-01-01T00:00:00.250Z WARNING zmcache.x: hello"


def test_a_traceback_stays_on_its_records_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        line = OneLine().format(record("it failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert re.search(r"it failed \| Traceback .* \| ValueError: first \| second$", line)
