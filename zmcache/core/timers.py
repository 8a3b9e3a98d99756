"""What pure code needs of an event loop to do something later: a function that is passed in, and a way to take it back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias


class Timer(Protocol):
    """What `call_later` of an event loop returns."""

    def cancel(self) -> object:
        """Do not call."""


CallLater: TypeAlias = Callable[[float, Callable[[], None]], Timer]
