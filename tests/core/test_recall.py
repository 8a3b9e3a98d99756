"""What is remembered of keys that are not there, in so much memory and no more."""

from __future__ import annotations

import sys

from zmcache.core.recall import DELETED, EVICTED, EXPIRED, NEVER_SEEN, Recall, Recalled


def test_what_nothing_was_noted_of_is_not_known() -> None:
    recall = Recall()
    assert recall.why_gone("k") == NEVER_SEEN
    assert recall.of("k") == Recalled()
    recall.went("other", EVICTED)
    recall.missed("other", EVICTED, 1.0)
    assert recall.why_gone("k") == NEVER_SEEN
    assert recall.of("k") == Recalled()


def test_the_newest_word_on_a_key_counts() -> None:
    recall = Recall()
    for why in (EXPIRED, DELETED):
        recall.went("k", why)
        recall.missed("k", why, float(why))
    recall.loaded("k", 0.25, 9.0)
    assert recall.why_gone("k") == DELETED
    assert recall.of("k") == Recalled(DELETED, float(DELETED), 0.25, 9.0)


def test_a_key_that_takes_anothers_place_inherits_nothing_of_it() -> None:
    recall = Recall()
    recall.missed("old", EVICTED, 1.0)
    recall.loaded("old", 0.25, 1.0)
    for n in range(20_000):
        recall.missed(f"key-{n}", EXPIRED, 2.0)
    assert recall.of("old") == Recalled()
    assert recall.of("key-19999") == Recalled(EXPIRED, 2.0)


def test_however_many_keys_go_it_takes_no_more_than_a_hundred_kibibytes() -> None:
    recall = Recall()
    for n in range(20_000):
        recall.went(f"key-{n}", EVICTED)
        recall.missed(f"key-{n}", EVICTED, 1.0)
    tables = [getattr(recall, name) for name in Recall.__slots__]
    assert sum(map(sys.getsizeof, tables)) < 100 * 1024
