"""What happened in one history, as data: the calls that were made, the loads, what went wrong and when, and when nothing did.

Written down by whoever drives a cluster, a simulated one or one of real processes; judged by `history_checker`. Times are seconds of one clock, which
all who write have in common.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

OPEN = "open"  # it has not ended
VALUE, MISS, DONE, FAILED, CANCELLED = "value", "miss", "done", "failed", "cancelled"

READS = frozenset({"get"})
CHANGES = frozenset({"set", "delete", "incr"})


@dataclass(slots=True)
class Operation:
    """One call: what was asked, where, and how it ended."""

    number: int
    kind: str  # get, set, delete, incr
    group: str
    key: str
    place: str  # the process that called
    began_s: float
    timeout_s: float
    value: bytes | None = None  # what a set brought
    life_s: float = math.inf  # that a set asked for
    ended_s: float = math.inf
    outcome: str = OPEN
    result: bytes | None = None  # what a get or an incr was told
    error: str = ""  # the class of what it failed with, and its text
    stood_s: float = 0.0  # so long its process did not run meanwhile
    cancelled_s: float = math.inf  # when its caller gave it up
    lost_caller: bool = False  # its process was killed meanwhile


@dataclass(slots=True)
class Load:
    """One key in one call of a loader. ``value`` None: there is no such key; ``failed``: nothing is known of it."""

    group: str
    key: str
    node: str  # with its incarnation: a node that was started anew is another
    began_s: float
    ended_s: float = math.inf
    value: bytes | None = None
    failed: bool = False


# What may go wrong, by what it may cost. A *loss* takes what a process held, or has it doubt that.
KILLED, STOOD_STILL, LEASE_LOST = "killed", "stood still", "lease lost"
JOINED, LEFT = "joined", "left"
CUT, SLOW, RINGS = "cut", "slow", "rings"
LOSSES = frozenset({KILLED, STOOD_STILL, LEASE_LOST})
PLANNED = frozenset({JOINED, LEFT})


@dataclass(slots=True)
class Disturbance:
    """Something that went wrong, or was changed."""

    kind: str
    at_s: float
    node: str = ""


@dataclass(slots=True)
class Promise:
    """What a group of the cluster was set to, as far as promises depend on it."""

    copies: int = 1
    acks: int = 1
    loads: bool = False
    hands_over: bool = False  # what the ring moves is handed over to its new owner
    ttl_s: float = math.inf
    negative_ttl_s: float = 0.0
    hot_ttl_s: float = 1.0
    moved_ttl_s: float = 10.0
    evictions: int = 0  # that happened


@dataclass(slots=True)
class History:
    """All of it. ``calm``: from when to when nothing was wrong, every ring the same and every connection that is used whole."""

    groups: dict[str, Promise]
    operations: list[Operation] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    calm: list[tuple[float, float]] = field(default_factory=list)
    serving: dict[float, int] = field(default_factory=dict)  # how many nodes served in the calm that began at that time
    errors: list[str] = field(default_factory=list)  # that nobody should ever see: in a log, in an event loop
