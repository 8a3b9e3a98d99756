"""Every policy against the algorithm of its paper: the same hits and the same evictions, access by access."""

from __future__ import annotations

import lzma
import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from references import REFERENCES
from unit_cache import UnitCache

from zmcache.core.eviction import POLICIES, make_policy
from zmcache.core.eviction.base import SPARED_MOST
from zmcache.core.eviction.uselog import UseLog

TRACES = (
    "ZMCACHE_TRACES"  # files of 32-bit big-endian keys, compressed with xz, separated by the system's path separator
)


def drawn(seed: int, accesses: int = 15_000) -> Iterator[int]:
    """Popular keys, scans, loops, and a change of what is popular: something for each policy to be wrong about."""
    source = random.Random(seed)
    base = 0
    while accesses > 0:
        kind, count = source.choice("pppsl"), min(source.randrange(50, 1500), accesses)
        accesses -= count
        if source.random() < 0.1:
            base += source.randrange(1, 300)
        begin = source.randrange(5_000)
        for number in range(count):
            if kind == "p":
                yield base + min(int(source.paretovariate(0.7)), 4_000)
            elif kind == "s":
                yield 10_000 + begin + number
            else:
                yield 20_000 + begin + number % 150


def agree(policy: str, items: int, keys: Iterator[int], batch: int) -> None:
    cache, reference = UnitCache(make_policy(policy, items), items, batch), REFERENCES[policy](items)
    for number, key in enumerate(keys):
        assert cache.access(key) == reference.access(key), (number, key)


@pytest.mark.parametrize("batch", [1, 37, 1024])
@pytest.mark.parametrize("items", [1, 2, 10, 100, 700])
@pytest.mark.parametrize("policy", POLICIES)
def test_hits_and_evictions_are_those_of_the_paper(policy: str, items: int, batch: int) -> None:
    agree(policy, items, drawn(items + batch), batch)


@pytest.mark.parametrize("policy", POLICIES)
def test_the_same_on_real_accesses(policy: str) -> None:
    paths = [Path(path) for path in os.environ.get(TRACES, "").split(os.pathsep) if path]
    if not paths:
        pytest.skip(f"no real traces: {TRACES} names none")
    for path in paths:
        raw = lzma.decompress(path.read_bytes())
        agree(policy, 300, iter(struct.unpack(f">{min(len(raw) // 4, 100_000)}I", raw[:400_000])), 1024)


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_deleted_is_never_named_again(policy: str) -> None:
    source = random.Random(3)
    cache = UnitCache(make_policy(policy, 200), 200)
    for key in drawn(3, 20_000):
        cache.access(key)
        if source.random() < 0.2:
            cache.remove(source.choice(list(cache.slot_of)))
    while cache.slot_of:
        cache.evict()  # a KeyError if it is none of the entries
    with pytest.raises(LookupError):
        cache.policy.victim()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_that_has_been_emptied_begins_anew(policy: str) -> None:
    cache = UnitCache(make_policy(policy, 50), 50)
    for round_ in range(3):
        for key in range(60):
            cache.access(1000 * round_ + key)
        for key in list(cache.slot_of):
            cache.remove(key)
    assert cache.access(1) == (False, [])
    assert cache.access(1) == (True, [])


@pytest.mark.parametrize("policy", POLICIES)
def test_no_victim_takes_a_round_through_a_large_cache_where_all_was_used(policy: str) -> None:
    """Counted in slots that are moved, so that no clock is needed: `UseLog.append` is what moves one."""
    cache = UnitCache(make_policy(policy, 20_000), 20_000)
    for key in [*range(20_000)] * 5:
        cache.access(key)
    cache.flush()
    moved = 0
    append = UseLog.append

    def counted(log: UseLog, slot: int) -> None:
        nonlocal moved
        moved += 1
        append(log, slot)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UseLog, "append", counted)
        for key in range(50_000, 50_010):
            before = moved
            assert cache.access(key)[1]
            assert moved - before <= SPARED_MOST + 10
