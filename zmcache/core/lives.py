"""How long what a group stores may live, in seconds: by its settings, by what a set asked for, and by whose key it is.

Jitter only ever shortens a life: an expiry is a promise about the oldest value that is served. ``briefly`` is for what
was loaded and may have been overtaken elsewhere, such as a key of another node: it lives for ``moved_ttl_s`` at most, whatever else is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from zmcache.core.settings import GroupSettings
from zmcache.core.wire import TTL_DEFAULT


class Lives:
    """The lives that one group gives. ``random``: a number from 0 to 1 at each call."""

    __slots__ = ("_random", "_settings")

    def __init__(self, settings: GroupSettings, random: Callable[[], float]) -> None:
        self._settings = settings
        self._random = random

    def of_loaded(self, *, absent: bool, briefly: bool) -> float:
        """For what the loader returned; ``absent``: it does not know the key."""
        life_s = self._settings.negative_ttl_s if absent else self._default()
        return min(life_s, self._settings.moved_ttl_s) if briefly else life_s

    def of_set(self, ttl_ms: int) -> float:
        """For what a set brought; ``ttl_ms`` as in a SET frame."""
        return self._default() if ttl_ms == TTL_DEFAULT else math.inf if ttl_ms < 0 else ttl_ms / 1000

    def _default(self) -> float:
        ttl_s = self._settings.ttl_s
        return math.inf if ttl_s is None else ttl_s * (1.0 - self._settings.ttl_jitter * self._random())
