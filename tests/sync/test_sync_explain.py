"""What a thread is told of a key."""

from __future__ import annotations

import zmcache.sync


def test_a_thread_has_a_key_explained() -> None:
    with zmcache.sync.connect("mem://") as cache:
        items = cache.group("items")
        items.set("k", b"123")
        (node,) = items.explain("k").nodes
        assert [(kept.where, kept.size) for kept in node.found] == [("store", 3)]
