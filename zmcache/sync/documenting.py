"""The words of the asynchronous calls stand beside the same calls here: written once, and there for ``help()``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C", bound=type)


def documented_as(twin: type) -> Callable[[C], C]:
    """Give each public call of a class that has no docstring the one of the same name in ``twin``."""

    def decorate(cls: C) -> C:
        for name, member in vars(cls).items():
            told = inspect.getattr_static(twin, name, None)
            if told is not None and not name.startswith("_") and getattr(member, "__doc__", None) is None:
                member.__doc__ = told.__doc__
        return cls

    return decorate
