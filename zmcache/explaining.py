"""What a node can tell of a key when somebody wonders: what is here of it, and what is remembered of it that is not.

Nothing is changed by the question: it counts as no use and as no hit, loads nothing, and makes nobody wait. Of what has gone only so much is known
as `Recall` keeps, which is told when an entry goes and when a get misses, and never of a hit.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from zmcache.changing import Changing
from zmcache.core.explained import (
    ABSENT_THERE,
    ASKING,
    HERE,
    IN_HOT,
    IN_STORE,
    LEASED_OUT,
    LOADING,
    TOMBSTONE,
    Explanation,
    Kept,
    Look,
    kept,
    told,
)
from zmcache.core.flight import Flights
from zmcache.core.hot import HotCache
from zmcache.core.marks import ABSENT, Held, Marked, read_mark
from zmcache.core.recall import DELETED, ELSEWHERE, EXPIRED, MOVED, NEGATIVE, TAGGED, Recall
from zmcache.core.store import Store
from zmcache.core.tagging import Tagging
from zmcache.core.versions import Versions
from zmcache.leasing import Leasing
from zmcache.peering import Peers


class Explaining:
    """See the module's docstring. Looks at all that one group holds on this node."""

    def __init__(
        self,
        name: str,
        peers: Peers,
        store: Store,
        tagging: Tagging,
        hot: HotCache,
        changing: Changing,
        leasing: Leasing,
        versions: Versions,
        loads: Flights,
        asks: Flights,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._peers = peers
        self._store = store
        self._tagging = tagging
        self._hot = hot
        self._changing = changing
        self._leasing = leasing
        self._versions = versions
        self._loads = loads
        self._asks = asks
        self._clock = clock
        self._recall = Recall()
        store.on_gone = self._recall.went

    # -- what is to be remembered ----------------------------------------------------------------------------------

    def missed(self, key: str, *, is_ours: bool) -> None:
        """A get has found nothing of ``key`` that could be given. About 1 us."""
        now_s = self._clock()
        why = self._recall.why_gone(key)
        entry = self._store.peek(key, now_s)
        if entry is not None:
            # Kept beyond its life, or hidden by a tag.
            why = TAGGED if self._is_hidden(entry[0]) else EXPIRED
        elif not is_ours:
            why = MOVED if why == MOVED else ELSEWHERE
        elif self._changing.tombstones.version_of(key):
            why = DELETED
        self._recall.missed(key, why, now_s)

    def loaded(self, key: str, began_s: float) -> None:
        """The load that began then has brought an answer."""
        now_s = self._clock()
        self._recall.loaded(key, now_s - began_s, now_s)

    # -- what is told ----------------------------------------------------------------------------------------------

    async def ask(self, key: str, deadline_s: float) -> Explanation:
        """What this node and all others who are to hold ``key`` know of it."""
        explanation = await self._peers.explain(self._name, key, deadline_s)
        nodes = [told(node.node_id, HERE, self.look(key)) if node.state == HERE else node for node in explanation.nodes]
        return msgspec.structs.replace(explanation, nodes=tuple(nodes))

    def look(self, key: str) -> Look:
        """What this node knows of ``key``."""
        now_s = self._clock()
        recalled = self._recall.of(key)
        missed, took_s = recalled.missed, recalled.took_s
        missed_ago_s = None if recalled.missed_s is None else now_s - recalled.missed_s
        found: list[Kept] = []
        entry = self._store.peek(key, now_s)
        if entry is not None and not self._is_hidden(entry[0]):
            held, expires_at_s, version = entry
            age_s = self._age_s(version, recalled.loaded_s, now_s)
            if held is ABSENT:
                missed, missed_ago_s = NEGATIVE, None
                found.append(
                    kept(ABSENT_THERE, now_s=now_s, age_s=age_s, fresh_until_s=expires_at_s, kept_until_s=expires_at_s)
                )
            else:
                mark = Marked(held, expires_at_s) if isinstance(held, bytes) else read_mark(held, expires_at_s)
                took_s = mark.took_s or took_s
                found.append(
                    kept(
                        IN_STORE, now_s=now_s, age_s=age_s, fresh_until_s=mark.fresh_until_s,
                        kept_until_s=expires_at_s, version=version, size=len(mark.value or b""),
                    )
                )  # fmt: skip
        found += self._copies(key, now_s)
        found += self._under_way(key, now_s)
        return Look(tuple(found), missed, missed_ago_s, took_s)

    def _is_hidden(self, held: Held) -> bool:
        return isinstance(held, str) and held is not ABSENT and self._tagging.would_hide(read_mark(held))

    def _copies(self, key: str, now_s: float) -> list[Kept]:
        """What is here besides what the node is to hold."""
        found: list[Kept] = []
        self._hot.lose_silent(now_s)
        entry = self._hot.peek(key, now_s)
        if entry is not None:
            held, ends_s, _ = entry
            size = None if held is ABSENT else len(held if isinstance(held, bytes) else read_mark(held).value or b"")
            age_s = max(0.0, now_s - self._hot.copied_s(key))
            found.append(kept(IN_HOT, now_s=now_s, age_s=age_s, fresh_until_s=ends_s, kept_until_s=ends_s, size=size))
        version = self._changing.tombstones.version_of(key)
        if version:
            found.append(kept(TOMBSTONE, now_s=now_s, age_s=self._age_s(version, None, now_s), version=version))
        return found

    def _under_way(self, key: str, now_s: float) -> list[Kept]:
        """What is being done about it."""
        found: list[Kept] = []
        load = self._loads.get(key)
        if load is not None:
            found.append(kept(LOADING, now_s=now_s, age_s=now_s - load.began_s))
        if self._asks.get(key) is not None:
            found.append(kept(ASKING, now_s=now_s))
        until_s = self._leasing.runs_until_s(key)
        if until_s is not None:
            found.append(kept(LEASED_OUT, now_s=now_s, fresh_until_s=until_s, kept_until_s=until_s))
        return found

    def _age_s(self, version: int, loaded_s: float | None, now_s: float) -> float:
        """Since when it is here. The version of what was written says so; that of what was loaded while others might have written does not, and
        may be as old as time.
        """
        age_s = max(0.0, self._versions.age_s(version))
        return age_s if loaded_s is None else min(age_s, now_s - loaded_s)
