"""Ghosts against an ordered dictionary: the same order, the same membership, the same bytes, whatever comes and goes."""

from __future__ import annotations

import gc
import random
from collections import OrderedDict

import pytest

from zmcache.core.eviction.ghosts import TRIMMED_MOST, Ghosts


@pytest.mark.parametrize(
    "identities", [range(200), range(-100, 100), [hash(str(i)) for i in range(200)], [i << 55 for i in range(200)]]
)
def test_they_are_an_ordered_dictionary(identities: list[int]) -> None:
    source = random.Random(1)
    ghosts, model = Ghosts(), OrderedDict[int, int]()
    for _ in range(20_000):
        identity, cost = source.choice(identities), source.randrange(1 << 32)
        match source.randrange(8):
            case 0 | 1 | 2 | 3:
                ghosts.append(identity, cost)
                model.pop(identity, None)
                model[identity] = cost
            case 4 | 5:
                assert ghosts.discard(identity) == (model.pop(identity, None) is not None)
            case 6 if model:
                ghosts.pop_oldest()
                model.popitem(last=False)
            case _ if source.random() < 0.05:
                few, little = source.randrange(150), source.randrange(100 << 32)
                for _ in range(0, 200, TRIMMED_MOST):
                    ghosts.trim(little, few)
                while model and (len(model) > few or sum(model.values()) > little):
                    model.popitem(last=False)
        assert (len(ghosts), ghosts.used_bytes) == (len(model), sum(model.values()))
    for identity in list(model):
        assert ghosts.discard(identity)
        ghosts.append(identity, 1)
    for left in range(len(model), 0, -1):
        assert len(ghosts) == left
        ghosts.pop_oldest()


def test_many_cost_no_more_than_stated_and_the_collector_sees_none() -> None:
    gc.collect()
    before = len(gc.get_objects())
    ghosts = Ghosts()
    for identity in range(100_000):
        ghosts.append(identity, 1)
    arrays = [ghosts._identities, ghosts._costs, ghosts._after, ghosts._before, *ghosts._parts]
    assert sum(found.itemsize * len(found) for found in arrays) < 36 * 100_000
    assert len(gc.get_objects()) - before < 600, "the parts of the table; ghosts are none"
    for identity in range(100_000):
        assert ghosts.discard(identity)
    for identity in range(100_000, 200_000):
        ghosts.append(identity, 1)
    assert sum(found.itemsize * len(found) for found in arrays) < 36 * 100_000, "places are used again"


def test_one_that_comes_again_is_the_newest() -> None:
    ghosts = Ghosts()
    for identity in (1, 2, 1):
        ghosts.append(identity, 10)
    ghosts.pop_oldest()
    assert (ghosts.discard(1), ghosts.discard(2)) == (True, False)
