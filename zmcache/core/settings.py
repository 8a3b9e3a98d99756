"""What a group is set to, and what it has counted: frozen data that the layers above pass around."""

from __future__ import annotations

import msgspec

from zmcache.core import eviction


class GroupSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of one group; zmcache.config and configs/node.yaml say how to choose each."""

    budget_bytes: int = 64 * 1024 * 1024
    ttl_s: float | None = None
    ttl_jitter: float = 0.05
    negative_ttl_s: float = 5.0
    policy: str = eviction.DEFAULT
    load_timeout_s: float = 5.0
    max_loads: int = 16
    max_queued: int = 10_000
    item_share: float = 0.25
    hot_share: float = 0.125
    hot_ttl_s: float = 1.0
    moved_ttl_s: float = 10.0
    refresh_beta: float = 0.0
    copies: int = 1
    acks: int = 1


class GroupStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the start, and sizes as they are now."""

    hits: int
    hot_hits: int
    misses: int
    loads: int
    loader_calls: int
    load_failures: int
    loading: int
    queued: int
    asked: int
    fallback_loads: int
    sets: int
    deletes: int
    entries: int
    used_bytes: int
    budget_bytes: int
    hot_entries: int
    hot_bytes: int
    hot_told_old: int
    hot_lost: int
    evictions: int
    expirations: int
    let_go: int
    refused: int
    leases: int
    leases_expired: int
    leases_overtaken: int
    refreshes: int
    copies_sent: int
    copies_failed: int
    copies_taken: int
    copies_refused: int
    tombstones: int
    tombstones_dropped: int
