"""Watching from a thread, and near copies for threads."""

from __future__ import annotations

import threading

import zmcache.sync


def test_a_thread_watches_until_it_leaves_the_loop() -> None:
    with zmcache.sync.connect("mem://") as cache:
        items = cache.group("items")
        items.set("k", b"0")
        seen = []
        for update in items.watch("k"):
            seen.append(update.value)
            if len(seen) == 3:
                break
            items.set("k", b"%d" % len(seen))
        assert seen == [b"0", b"1", b"2"]


def test_closing_ends_a_watch_that_waits() -> None:
    cache = zmcache.sync.connect("mem://")
    cache.open()
    begun, ended = threading.Event(), threading.Event()

    def watch() -> None:
        try:
            for _ in cache.group("items").watch("k"):
                begun.set()
        except Exception:
            ended.set()

    thread = threading.Thread(target=watch)
    thread.start()
    assert begun.wait(10)
    cache.close()
    thread.join(10)
    assert ended.is_set()
