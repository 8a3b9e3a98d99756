"""How a command ends: an error of zmcache becomes exactly one line on the standard error and an exit code, never a
traceback.

What is not an error of zmcache is a defect, and keeps its traceback.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from zmcache.errors import ConfigError, RequestError, ZmcacheError

FAILED: Final = 1
MISUSED: Final = 2

_LAST_TASKS_S: Final = 1.0

_log = logging.getLogger("zmcache.cli")


class Ended(click.ClickException):
    """Ends the command with a line ``Error: ...`` and an exit code."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(" ".join(message.split()))
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:  # type: ignore[override]  # click declares it for a class, and reads it from the instance
        """What the process ends with."""
        return self._exit_code


@contextmanager
def one_line() -> Iterator[None]:
    """Errors of zmcache that come out of the block end the command: 2 for what was asked wrongly, 1 for what could not
    be done.
    """
    try:
        yield
    except (ConfigError, RequestError) as error:
        raise Ended(str(error), MISUSED) from error
    except ZmcacheError as error:
        raise Ended(str(error) or type(error).__name__) from error


async def cancel_the_rest(code: int) -> None:
    """Cancel every other task of this loop. Where one goes on all the same, the process ends here with ``code``.

    A loader that swallows its cancellation would otherwise keep the process for ever: closing a loop waits for its tasks.
    """
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    if not rest:
        return
    _, left = await asyncio.wait(rest, timeout=_LAST_TASKS_S)
    if left:
        _log.warning("%d tasks go on although they were cancelled, and are left behind", len(left))
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
