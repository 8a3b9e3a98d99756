"""How a command ends: an error of zmcache becomes exactly one line on the standard error and an exit code, never a
traceback.

What is not an error of zmcache is a defect, and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import click

from zmcache.errors import ConfigError, RequestError, ZmcacheError

FAILED: Final = 1
MISUSED: Final = 2


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
