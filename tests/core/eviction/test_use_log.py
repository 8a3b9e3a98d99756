"""The log of uses gives the order of a list, and stays short."""

from __future__ import annotations

import random
from array import array
from collections import OrderedDict

import pytest

from zmcache.core.eviction.uselog import CHUNK, Marks, UseLog, _Chunk


def log_of(*slots: int) -> UseLog:
    marks = Marks()
    marks.cover(max(slots, default=0))
    log = UseLog(marks)
    for slot in slots:
        log.append(slot)
    return log


def test_the_latest_uses_count_even_before_their_chunk_is_full() -> None:
    log = log_of(1, 2, 3)
    assert log.oldest() == 1
    log.use([1])
    assert log.oldest() == 2
    log.use([2])
    assert log.oldest() == 3
    log.remove(3)
    assert (log.oldest(), len(log)) == (1, 2)


def test_asking_for_the_oldest_twice_changes_nothing() -> None:
    log = log_of(1)
    assert log.oldest() == log.oldest() == 1


def test_an_empty_log_says_so() -> None:
    log = log_of()
    with pytest.raises(LookupError):
        log.oldest()
    log.append(1)
    log.remove(1)
    with pytest.raises(LookupError):
        log.oldest()


def test_what_stands_in_one_of_two_logs_counts_in_that_alone() -> None:
    marks = Marks()
    marks.cover(3 * CHUNK)
    first, second = UseLog(marks), UseLog(marks)
    for slot in range(1, 3 * CHUNK):
        first.append(slot)
    for slot in range(1, 3 * CHUNK, 2):
        first.remove(slot)
        second.append(slot)
    for log, begin in ((second, 1), (first, 2)):
        for expected in range(begin, 3 * CHUNK, 2):
            assert log.oldest() == expected
            log.remove(expected)
    assert (len(first), len(second)) == (0, 0)


def test_a_log_that_is_left_by_all_lets_its_records_go() -> None:
    marks = Marks()
    first, second = UseLog(marks), UseLog(marks)
    marks.cover(50_000)
    for slot in range(1, 50_000):
        first.append(slot)
    for slot in range(1, 50_000):
        first.remove(slot)
        second.append(slot)
    assert first._records <= 10 * CHUNK


@pytest.mark.parametrize("entries", [3, 700, 3000])
def test_the_oldest_is_that_of_a_list_through_batches_removals_and_compaction(entries: int) -> None:
    source = random.Random(entries)
    log, model = log_of(*range(1, entries + 1)), OrderedDict.fromkeys(range(1, entries + 1))
    for _ in range(400):
        slots = list(model)
        # Batches of any size, longer than a chunk too; most uses go to a few slots.
        batch = [
            slots[min(int(source.paretovariate(0.6)), len(slots)) - 1]
            for _ in range(source.choice([1, 30, 1024, 2500]))
        ]
        log.use(list(batch))
        for slot in batch:
            model.move_to_end(slot)
        for _ in range(source.choice([0, 1, 2])):
            oldest = log.oldest()
            assert oldest == next(iter(model))
            log.remove(oldest)
            log.append(oldest)
            model.move_to_end(oldest)
        gone = source.choice(list(model))
        log.remove(gone)
        log.append(gone)
        model.move_to_end(gone)
    for expected in list(model):
        assert log.oldest() == expected
        log.remove(expected)


def test_the_log_stays_short_when_nothing_ever_goes() -> None:
    log, source = log_of(*range(1, 5001)), random.Random(1)
    longest = 0
    for _ in range(400):
        # A hot tenth is used all the time; the rest stays in the log with one record each.
        log.use([source.randrange(1, 501) for _ in range(CHUNK)])
        longest = max(longest, log._records)
    assert longest <= 3 * 5000 + 12 * CHUNK


def test_numbers_of_chunks_are_used_again() -> None:
    log = log_of(*range(1, 2001))
    for _ in range(300):
        log.use(list(range(1, 2001)))
        for _ in range(50):
            oldest = log.oldest()
            log.remove(oldest)
            log.append(oldest)
    assert len(log._numbers.counting) < 40
    assert sum(log._numbers.counting[1:]) == len(log) == 2000


def test_what_counts_no_more_is_passed_over_without_a_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """One slot is never used again, and all others so often that hundreds of chunks behind it are dead."""
    log = log_of(*range(1, 200_000))
    for _ in range(2):
        log.use(list(range(2, 200_000)))
    looked = 0
    last_uses = _Chunk.last_uses

    def counted(chunk: _Chunk, marks: array[int]) -> list[int]:
        nonlocal looked
        looked += 1
        return last_uses(chunk, marks)

    monkeypatch.setattr(_Chunk, "last_uses", counted)
    assert log.oldest() == 1
    log.remove(1)
    assert log.oldest() == 2
    assert looked <= 6
