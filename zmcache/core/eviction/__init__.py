"""Eviction policies, one a file, by the name that stands in a config.

base.py   what a policy is
lru.py    least recently used
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zmcache.core.eviction.base import EvictionPolicy
from zmcache.core.eviction.lru import Lru

POLICIES: Final[dict[str, Callable[[], EvictionPolicy]]] = {"lru": Lru}


def make_policy(name: str) -> EvictionPolicy:
    """A new policy of that name. Raises `KeyError` for an unknown one; the config has checked."""
    return POLICIES[name]()


__all__ = ["POLICIES", "EvictionPolicy", "Lru", "make_policy"]
