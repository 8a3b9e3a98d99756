"""Lists that the garbage collector does not visit.

A list of a million strings costs every full collection 15 to 20 ms, and there is nothing in it to be found: strings and bytes refer to
nothing. CPython leaves dictionaries of such objects alone by itself, lists it visits. So it is told to forget about the list; growing does
not make it remember. The price of a dictionary in its stead is 19 bytes a place.

Only for lists that never hold what may refer back to them: a cycle through one is never collected.
"""

from __future__ import annotations

import ctypes
import sys
from typing import TypeVar

T = TypeVar("T", str, bytes, str | int, bytes | str)


def untracked(items: list[T]) -> list[T]:
    """The same list, forgotten by the collector. Elsewhere than in CPython it is left as it is."""
    if sys.implementation.name == "cpython":
        ctypes.pythonapi.PyObject_GC_UnTrack(ctypes.py_object(items))
    return items
