"""What the processes of a run wrote down, as one record."""

from __future__ import annotations

from pathlib import Path

from faults.backend import read_loads
from faults.record import Record, read_ops, read_stalls


def read_record(folder: Path) -> Record:
    """All of it but what is known only to who made the run: the outages, when it was calm, and the last look."""
    return Record(
        ops=read_ops(folder.glob("ops-*")), loads=read_loads(folder), stalls=read_stalls(folder.glob("stalls-*"))
    )
