"""A node's shard of a group, its parts made in one go: the store and the hot copies, the versions, tags and leases beside them, what is under way.

The parts are there for those who work on them: who loads (`zmcache.readthrough`), asks an owner (`zmcache.asking`), writes (`zmcache.writing`), and
whoever hands over, tells and tidies (`zmcache.holding`). What has to reach several of them at once stands here: what ends what. Nothing here asks
another node.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from zmcache.changing import Changing
from zmcache.copying import Copying
from zmcache.core.audience import Audience
from zmcache.core.clearing import clear
from zmcache.core.flight import Flights, Outcome
from zmcache.core.hot import HotCache
from zmcache.core.lives import Lives
from zmcache.core.marks import Held, Marked
from zmcache.core.settings import GroupSettings
from zmcache.core.store import Store
from zmcache.core.tagging import Tagging
from zmcache.core.versions import Versions
from zmcache.core.wire import Change
from zmcache.explaining import Explaining
from zmcache.leasing import Leasing
from zmcache.peering import Peers
from zmcache.strays import Strays


class Shard:
    """See the module's docstring. ``versions``: the node's, one for all its groups; None: of its own."""

    def __init__(
        self,
        name: str,
        settings: GroupSettings,
        peers: Peers,
        *,
        random: Callable[[], float],
        clock: Callable[[], float],
        versions: Versions | None,
    ) -> None:
        self.name, self.settings, self.peers, self.clock = name, settings, peers, clock
        self.loop = loop = asyncio.get_running_loop()
        hot_bytes = int(settings.budget_bytes * settings.hot_share)
        self.store = store = Store(settings.budget_bytes - hot_bytes, settings.policy, settings.item_share)
        self.hot = HotCache(hot_bytes, settings.hot_ttl_s)
        self.lives = Lives(settings, random)
        self.versions = versions or Versions(name, time.time(), time.monotonic)
        self.tagging = Tagging(store)
        self.changing = changing = Changing(name, store, self.lives, self.versions, self.tagging, clock)
        self.copying = Copying(
            name, peers, settings.copies, settings.acks, changing.renewed, changing.remember, loop.time
        )  # fmt: skip
        self.is_copied = settings.copies > 1
        if self.is_copied:
            changing.remember_ended()
        self.strays = Strays(store, peers, settings, clock, loop.call_later)
        self.leasing = Leasing(
            self, self.versions.next, beta=settings.refresh_beta, max_leases=settings.max_queued,
            random=random, clock=clock, loop_time=loop.time, call_later=loop.call_later,
        )  # fmt: skip
        self.loads, self.asks = Flights(), Flights()
        self.explaining = Explaining(
            name, peers, store, self.tagging, self.hot, changing, self.leasing, self.versions, self.loads, self.asks, clock
        )  # fmt: skip
        """Tells what is known here of a key, and is told what to remember for that."""
        self.audience: Audience | None = None
        """Who wants to hear what becomes of keys here; see `HeldGroup.audience`."""

    # -- what ends what --------------------------------------------------------------------------------------------

    def fence(self, key: str) -> None:
        """No flight or fill that began before this moment stores its result, and no copy of the key stays."""
        self.loads.fence(key)
        self.asks.fence(key)
        if len(self.leasing):
            self.leasing.overtake(key)
        if len(self.hot):
            self.hot.delete(key, self.clock())

    def clear(self, done: Callable[[], None], version: int) -> None:
        """Forget all that is here and no newer than ``version``, in slices; then call ``done``. What is being loaded or filled meanwhile is not
        stored.
        """
        self.loads.fence_all()
        self.asks.fence_all()
        self.leasing.clear()
        self.changing.clear(version)
        self.strays.clear()
        if self.audience is not None:
            done = partial(_both, self.audience.cleared, done)
        clear(self.hot, self.clock, self.loop.call_later, lambda: None)
        clear(self.store, self.clock, self.loop.call_later, done, version)

    def on_tag_old(self, tag: str) -> None:
        """All with this tag that was set before now is old."""
        if self.audience is not None:
            self.audience.tag_old(tag)

    def on_tags_old(self) -> None:
        """So is some that has any tag."""
        if self.audience is not None:
            self.audience.tag_old(None)

    # -- for leases ------------------------------------------------------------------------------------------------

    def lookup(self, key: str) -> tuple[Held, float] | None:
        """What is held here of ``key`` now, and until when."""
        return self.store.lookup(key, self.clock())

    def hides(self, key: str, mark: Marked) -> bool:
        """Whether what is held is to be taken for nothing, by its tags."""
        return self.tagging.hides(key, mark)

    def is_old(self, change: Change) -> bool:
        """Whether what a caller has made is old, by its tags, before it is stored."""
        # Made of what was there when the lease was granted, and a lease's token is the version of that moment.
        return self.tagging.is_old(change.tags, change.token)

    def keep(self, change: Change) -> Outcome:
        """Store what a caller has made."""
        # No load that began before may store its result over it, and no hot copy stays; its own lease has ended.
        self.fence(change.key)
        return self.changing.keep(change._replace(stamp=change.token))


def _both(first: Callable[[], None], then: Callable[[], None]) -> None:
    first()
    then()
