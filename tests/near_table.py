"""What two processes know together of the values of a few keys: since when each has been acknowledged.

A value is its number, counted from 0. The times are of the machine's monotonic clock, which is the same in all of its processes.
"""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Final

KEYS: Final = [f"near-{n}" for n in range(32)]
VALUES_MOST: Final = 1 << 13  # of one key: four minutes of a thousand sets a second on all of them
_BYTES: Final = len(KEYS) * VALUES_MOST * 8


def make_table(file: Path) -> None:
    """Nothing is acknowledged yet."""
    file.write_bytes(bytes(_BYTES))


def open_table(file: str) -> list[memoryview]:
    """For each key the seconds at which it was acknowledged that a value stands, by number; 0: not yet."""
    with open(file, "r+b") as opened:
        times = memoryview(mmap.mmap(opened.fileno(), _BYTES)).cast("d")
    return [times[at * VALUES_MOST : (at + 1) * VALUES_MOST] for at in range(len(KEYS))]
