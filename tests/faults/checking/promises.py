"""What is promised in a run, by the fault that is in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

NONE: Final = "none"
"""No call may fail (P6: etcd is away; a planned change of the members)."""
WRITES: Final = "writes"
"""No read may fail (P7: a node died)."""
ANY: Final = "any"
"""Calls may fail; they end in time all the same."""


@dataclass(frozen=True, kw_only=True)
class Promises:
    """``copies`` is R, ``acks`` is W.

    stale_s       how long after the acknowledgement of a write a read may still find what was there before (P9)
    absent_s      the same for what was not there before: nobody keeps that for as long
    late_s        by how much a call may outlast its deadline (P2)
    brief_s       the shortest time for which a node keeps what it loads (P3): it does not load the same key again sooner
    may_fail      which calls may fail (`NONE`, `WRITES`, `ANY`), and the promise that says so
    reloads_max   how many keys may be loaded again from ``reloads_from_s`` on that had been loaded before; None: not judged (P7)
    exempt        promises that are not judged in this run, and why; they are told in the table
    """

    copies: int = 1
    acks: int = 1
    stale_s: float
    absent_s: float
    late_s: float = 0.05
    brief_s: float
    may_fail: str = WRITES
    failing: str = "P7"
    reloads_max: int | None = None
    reloads_from_s: float = 0.0
    exempt: Mapping[str, str] = field(default_factory=dict)


class Violation(NamedTuple):
    """One broken promise. ``at_s``: when it showed."""

    promise: str
    key: str
    at_s: float
    text: str
