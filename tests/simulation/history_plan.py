"""What is to happen in a history: a cluster and 200 events, all drawn from one seed, before any of it is carried out.

A plan is data: an event says when, what and to whom, and carrying it out draws nothing more from the plan's own chances. So an event can be left out,
to find the few that matter. What does not apply when its time comes (a node to be killed that is not there) is passed over.
"""

from __future__ import annotations

import math
from random import Random
from typing import Any, NamedTuple

EVENTS = 200
ITEMS, PLAIN = "items", "plain"
COUNTER = "counter"
_NAMES = "abcdefg"
# What goes wrong, and how often beside one another, by the kind of history.
_KINDS: dict[str, dict[str, int]] = {
    "calm": {"slow": 1},
    "changes": {"join": 3, "leave": 3, "slow": 1},
    "crashes": {"kill": 3, "start": 5, "slow": 1},
    "pauses": {"stop": 5, "start": 1, "kill": 1},
    "cuts": {"cut": 2, "cut one way": 3, "heal": 5},
    "etcd": {"etcd away": 3, "etcd back": 4, "lease": 3, "join": 1, "leave": 1, "kill": 1, "start": 2, "etcd empty": 1},
    "storm": {
        "join": 2, "leave": 2, "kill": 3, "start": 5, "stop": 3, "cut": 1, "cut one way": 2, "heal": 5, "slow": 2, "lease": 1,
        "etcd away": 1, "etcd back": 2, "loader slow": 1, "loader fails": 1, "loader well": 2,
    },
    "loader": {"loader slow": 3, "loader fails": 3, "loader well": 4, "kill": 1, "start": 1, "stop": 1},
}  # fmt: skip


class Event(NamedTuple):
    """``after_s``: since the event before it."""

    after_s: float
    kind: str
    details: tuple[Any, ...] = ()


class Setup(NamedTuple):
    """The cluster at the beginning. ``copies`` and ``acks`` are those of both groups, as far as the code knows them."""

    kind: str
    nodes: tuple[str, ...]
    copies: int
    acks: int
    ttl_s: float | None
    budget_bytes: int
    lease_s: float
    delay_s: float
    load_s: float


class Plan(NamedTuple):
    """See the module's docstring."""

    seed: int
    setup: Setup
    events: tuple[Event, ...]


def plan(seed: int, events: int = EVENTS) -> Plan:
    """The plan of that seed."""
    random = Random(f"plan {seed}")
    kind = random.choice(list(_KINDS))
    copies = random.choice((1, 2, 2, 3))
    count = random.choice((2, 3, 3, 4, 4))
    setup = Setup(
        kind=kind,
        nodes=tuple(_NAMES[:count]),
        copies=copies,
        acks=random.randint(1, copies),
        ttl_s=random.choice((None, None, 1.5)),
        budget_bytes=random.choice((1 << 20,) * 9 + (4000,)),
        lease_s=random.choice((2.0, 3.0)),
        delay_s=random.choice((0.0002, 0.001, 0.005)),
        load_s=random.choice((0.002, 0.02, 0.1)),
    )
    faults = random.choice((0.01, 0.03, 0.06, 0.1))
    drawn = [_draw(random, kind, faults) for _ in range(events)]
    return Plan(seed, setup, tuple(drawn))


def _draw(random: Random, kind: str, faults: float) -> Event:
    gap_s = random.expovariate(1 / 0.02) if random.random() < 0.93 else random.uniform(0.1, 1.0)
    if random.random() < faults:
        weights = _KINDS[kind]
        what = random.choices(list(weights), list(weights.values()))[0]
        return Event(gap_s, what, _FAULTS[what](random))
    return Event(gap_s, "call", _call(random))


def _call(random: Random) -> tuple[Any, ...]:
    """Of what kind, group and key, from where, within how long, with which life, given up after how long, how many at once."""
    kind = random.choices(("get", "set", "delete", "incr"), (60, 25, 8, 4))[0]
    group = random.choice((ITEMS, PLAIN, PLAIN))
    key = f"{group[0]}{min(int(random.expovariate(0.5)), 5)}"
    if kind == "incr":
        group, key = PLAIN, COUNTER
    timeout_s = random.choice((0.2, 1.0, 3.0, 3.0))
    life_s = random.choice((math.inf, math.inf, math.inf, 0.8))
    give_up_s = random.expovariate(1 / 0.005) if random.random() < 0.05 else math.inf
    times = random.randint(2, 8) if kind == "get" and random.random() < 0.1 else 1
    return kind, group, key, random.randrange(1000), timeout_s, life_s, give_up_s, times


def _node(random: Random) -> tuple[int]:
    return (random.randrange(1000),)


def _pair(random: Random) -> tuple[int, int]:
    return random.randrange(1000), random.randrange(1000)


_FAULTS = {
    "join": lambda random: (),
    "leave": _node,
    "kill": _node,
    "start": _node,
    "stop": lambda random: (random.randrange(1000), random.choice((0.05, 0.5, 1.3, 2.0, 4.0))),
    "cut": _pair,
    "cut one way": _pair,
    "heal": _pair,
    "slow": lambda random: (*_pair(random), random.choice((0.0, 0.02, 0.3))),
    "lease": _node,
    "etcd away": lambda random: (),
    "etcd back": lambda random: (),
    "etcd empty": lambda random: (),
    "loader slow": lambda random: (random.choice((0.3, 2.0)),),
    "loader fails": lambda random: (),
    "loader well": lambda random: (),
}
