"""What is done to a group beside asking it, whoever owns what: it is handed over, its hot copies are told what is old, its budget changes, it is
tidied. The way of a request is `zmcache.group`; what all this is done to is the `Shard`.
"""

from __future__ import annotations

import msgspec

from zmcache.core.audience import Audience
from zmcache.core.relying import Teller
from zmcache.core.settings import GroupSettings
from zmcache.core.tidying import tidy
from zmcache.core.wire import Change
from zmcache.invalidating import Invalidating
from zmcache.shard import Shard


class HeldGroup:
    """See the module's docstring."""

    def __init__(self, shard: Shard) -> None:
        self._shard = shard
        self.name = shard.name
        self.clock = shard.clock
        self.tags = Invalidating(shard, shard.tagging, shard.versions)
        self.explaining = shard.explaining

    @property
    def settings(self) -> GroupSettings:
        """As they are now: a budget can be changed."""
        return self._shard.settings

    @property
    def audience(self) -> Audience:
        """Who wants to hear what becomes of keys here. A group that nobody has asked this of pays nothing for it."""
        audience = self._shard.audience
        if audience is None:
            audience = self._shard.audience = Audience(self.name)
            self._shard.changing.on_change = audience.changed
        return audience

    # -- from those who own what is copied here -----------------------------------------------------------------------

    def copies_are_old(self, keys: list[str]) -> None:
        """These have other values, or none, at their owner."""
        for key in keys:
            # Its answer may be of before, and come after this.
            self._shard.asks.fence(key)
        self._shard.hot.hear(keys, self.clock())

    def all_copies_are_old(self, teller: Teller) -> None:
        """The group was emptied there."""
        self._shard.asks.fence_all()
        self._shard.hot.lose(teller, self.clock())

    def copies_are_lost(self, teller: Teller) -> None:
        """Something may not have been told by this one."""
        self._shard.hot.lose(teller, self.clock())

    def owners_changed(self) -> None:
        """Keys have other owners than those who were asked to tell of them."""
        self._shard.hot.lose_all(self.clock())

    def copies_are_good(self) -> None:
        """Some who tell have been heard of."""
        self._shard.hot.relying.heard()

    # -- for handing over -------------------------------------------------------------------------------------------

    @property
    def copies(self) -> int:
        """How many nodes are to hold each key."""
        return self._shard.settings.copies

    def visit_held(self, cursor: int | None, limit: int) -> tuple[list[str], int | None]:
        """The next keys that are held here, then those that are known to be deleted, and the cursor for the next call (None: that was all)."""
        store, changing = self._shard.store, self._shard.changing
        if cursor is None or cursor >= 0:
            keys, after = store.visit(cursor, limit)
            return keys, -1 if after is None else after
        keys = changing.gone(-1 - cursor, limit)
        after = cursor - len(keys) if keys else None
        # What is held has been visited: a key that comes twice would cancel itself out in a digest.
        now_s = self.clock()
        return [key for key in keys if not store.contains(key, now_s)], after

    def version_of(self, key: str) -> int:
        """What is held here of ``key``, or known of its delete; 0: nothing."""
        return self._shard.changing.version_of(key)

    def has_ended(self, key: str) -> bool:
        """Whether what was held of ``key`` is not, and was not deleted."""
        shard = self._shard
        return not shard.store.contains(key, self.clock()) and not shard.changing.tombstones.version_of(key)

    def copy_of(self, key: str) -> Change | None:
        """What is to be sent of ``key``; None: nothing."""
        shard = self._shard
        copy = shard.changing.copy_of(key)
        if copy is not None and copy.tags and shard.audience is not None:
            shard.audience.note_tags(key, copy.tags)
        return copy

    def let_go(self) -> None:
        """What is held of others' keys has been handed over: see `Strays.let_go`."""
        self._shard.strays.let_go()

    # -- what is regular --------------------------------------------------------------------------------------------

    def take_used(self) -> list[str]:
        """Some of the keys that were read here since the last time it was asked."""
        return self._shard.store.take_used()

    def note_used(self, keys: list[str]) -> None:
        """These keys are in use at their owner: what is held of them here is not to be evicted as if nobody wanted it."""
        self._shard.store.get_many(keys, self.clock())

    def resize(self, budget_bytes: int) -> None:
        """Another budget from now on. To a smaller one the group comes down as it is tidied."""
        shard = self._shard
        shard.settings = msgspec.structs.replace(shard.settings, budget_bytes=budget_bytes)
        hot_bytes = int(budget_bytes * shard.settings.hot_share)
        shard.store.resize(budget_bytes - hot_bytes)
        shard.hot.resize(hot_bytes)

    def tidy(self, until_s: float) -> bool:
        """Free what has expired, and evict what a smaller budget has no room for, until about that time of the monotonic clock;
        True when there is more.
        """
        return tidy((self._shard.store, self._shard.hot), self.clock, until_s)

    def clock_moved(self) -> None:
        """For tests: the clock jumped ahead, and what waits by the loop's own time is to notice."""
        self._shard.leasing.look_all()
