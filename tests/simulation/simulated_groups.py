"""The groups of a simulated cluster, as configs and as promises. Everything is short, so that a history of seconds sees the end of it."""

from __future__ import annotations

import math
from typing import Any, Final

from history_plan import ITEMS, PLAIN, Setup
from history_record import Promise

from zmcache.config import GroupConfig, NodeSettings

HOT_TTL_S: Final = 0.3
MOVED_TTL_S: Final = 1.0
NEGATIVE_TTL_S: Final = 0.5
LOAD_TIMEOUT_S: Final = 1.0


def make_groups(setup: Setup, moved_ttl_s: float = MOVED_TTL_S) -> dict[str, GroupConfig]:
    """One group that loads and one that does not."""
    settings: dict[str, Any] = {
        "budget_bytes": setup.budget_bytes,
        "ttl_jitter": 0.0,
        "negative_ttl_s": NEGATIVE_TTL_S,
        "policy": "lru",
        "load_timeout_s": LOAD_TIMEOUT_S,
        "max_loads": 3,
        "hot_ttl_s": HOT_TTL_S,
        "moved_ttl_s": moved_ttl_s,
    }
    if "copies" in GroupConfig.__struct_fields__:
        settings |= {"copies": setup.copies, "acks": setup.acks}
    return {ITEMS: GroupConfig(ttl_s=setup.ttl_s, **settings), PLAIN: GroupConfig(**settings)}


def promises_of(groups: dict[str, GroupConfig]) -> dict[str, Promise]:
    """What their settings promise, as far as this code knows of copies and of handing over."""
    return {
        name: Promise(
            copies=getattr(group, "copies", 1),
            acks=getattr(group, "acks", 1),
            loads=name == ITEMS,
            hands_over="handover_rate_bytes" in NodeSettings.__struct_fields__,
            ttl_s=math.inf if group.ttl_s is None else group.ttl_s,
            negative_ttl_s=group.negative_ttl_s,
            hot_ttl_s=group.hot_ttl_s,
            moved_ttl_s=group.moved_ttl_s,
        )
        for name, group in groups.items()
    }
