"""The sketch never counts too little between two halvings, seldom too much, and forgets."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from zmcache.core.eviction.sketch import MOST, Sketch


@pytest.mark.parametrize("kind", ["small whole numbers", "hashes"])
def test_estimates_are_never_too_low_and_for_few_keys_too_high(kind: str) -> None:
    source = random.Random(2)
    sketch = Sketch()
    sketch.cover(4_000)
    assert sketch.room >= 4_000
    keys = [source.randrange(4_000) for _ in range(9 * 4_000)]
    identities = keys if kind == "small whole numbers" else [hash((kind, key)) for key in keys]
    sketch.add(identities)
    real = Counter(identities)
    too_high = sum(sketch.estimate(identity) > min(count, MOST) for identity, count in real.items())
    assert all(sketch.estimate(identity) >= min(count, MOST) for identity, count in real.items())
    assert too_high < len(real) / 20


def test_all_is_halved_after_ten_counts_an_entry() -> None:
    sketch = Sketch()
    sketch.add([7] * 12)
    assert sketch.estimate(7) == 12
    sketch.add(range(1_000, 1_000 + 10 * sketch.room))
    assert sketch.estimate(7) == pytest.approx(6, abs=1)


def test_growing_changes_no_estimate() -> None:
    sketch = Sketch()
    sketch.add(number % 300 for number in range(0, 90_000, 7) if number % 300 < number % 311)
    before = [sketch.estimate(identity) for identity in range(400)]
    sketch.cover(100_000)
    assert [sketch.estimate(identity) for identity in range(400)] == before
    assert max(before) > 0


def test_growing_in_the_midst_of_a_halving_halves_what_was_left() -> None:
    sketch = Sketch()
    sketch.add([*range(200)] * 8)
    sketch.add([5_000] * (10 * sketch.room - sketch._counts))
    assert 0 < sketch._halved < len(sketch._counters)
    sketch.cover(2 * sketch.room)
    assert {sketch.estimate(identity) for identity in range(200)} <= {4, 5, 7}
