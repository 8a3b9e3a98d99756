"""Where the log records of a process that is a node go: to the standard error, one line each, with the time in UTC.

A record of several lines (a traceback) is folded into one, so that what collects logs line by line, as `zmcache up`
does, never takes one record for many. Records below INFO are for zmcache's own loggers only: other libraries' debugging
would bury them.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Final

import click

LEVELS: Final = ("debug", "info", "warning", "error")
FOLD: Final = " | "

log_level_option = click.option(
    "--log-level", default="info", show_default=True, envvar="ZMCACHE_LOG_LEVEL", show_envvar=True,
    type=click.Choice(LEVELS, case_sensitive=False), help="The least that is logged, to the standard error.",
)  # fmt: skip


class OneLine(logging.Formatter):
    """``2025-01-31T12:00:00.123Z WARNING zmcache.node: text``, whatever the text holds."""

    converter = staticmethod(time.gmtime)
    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03dZ"

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record's one line."""
        return FOLD.join(line for line in super().format(record).splitlines() if line.strip())


def log_to_stderr(level: str) -> None:
    """Send all records of this process of ``level`` (one of `LEVELS`) and above there. Warnings of Python become
    records.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(OneLine())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    number = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(number, logging.INFO))
    logging.getLogger("zmcache").setLevel(number)
    logging.captureWarnings(capture=True)
