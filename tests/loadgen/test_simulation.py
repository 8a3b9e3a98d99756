"""Simulations are the product's own store and ring, and Belady's algorithm is beaten by nobody."""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zmcache_loadgen.simulation import Stream, budget_bytes, most_hits, next_uses, replay, ring_figures, same_length


def lru_hits(tokens: list[int], items: int) -> int:
    """As the textbook has it."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for token in tokens:
        if token in held:
            hits += 1
            held.move_to_end(token)
        else:
            held[token] = None
            if len(held) > items:
                held.popitem(last=False)
    return hits


def best_by_trying(tokens: tuple[int, ...], items: int) -> int:
    """Every choice of what to let go, what has just come included."""

    @lru_cache(None)
    def best(at: int, held: frozenset[int]) -> int:
        if at == len(tokens):
            return 0
        hit = tokens[at] in held
        pool = held | {tokens[at]}
        if len(pool) <= items:
            return hit + best(at + 1, pool)
        return hit + max(best(at + 1, pool - {gone}) for gone in pool)

    return best(0, frozenset())


@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 4))
def test_belady_has_as_many_hits_as_the_best_of_all_choices(tokens: list[int], items: int) -> None:
    assert most_hits(tokens, next_uses(tokens), items) == best_by_trying(tuple(tokens), items)


def test_the_simulated_store_holds_exactly_so_many_items() -> None:
    random = Random(4)
    tokens = [int(random.paretovariate(0.7)) % 5000 for _ in range(20_000)]
    after, stream = next_uses(tokens), Stream(same_length(tokens))
    ratios = []
    for items in (1, 10, 100, 1000, 5000):
        seen = replay(stream, budget_bytes(items, 0, key=stream.keys[0], policy="lru"), "lru")
        assert (seen.hits, seen.reads) == (lru_hits(tokens, items), len(tokens))
        assert seen.hits <= most_hits(tokens, after, items)
        ratios.append(seen.ratio)
    assert ratios == sorted(ratios)
    # with room for all, only the first read of each key is a miss, for either
    most = replay(stream, budget_bytes(5000, 0, key=stream.keys[0]))
    assert most.hits == len(tokens) - len(set(tokens)) == most_hits(tokens, after, 5000)


def test_of_nothing_nothing_is_a_hit() -> None:
    assert replay(Stream([]), 5).ratio == 0.0
    assert most_hits([], [], 5) == 0


def test_a_ring_of_many_nodes_moves_about_its_share_and_is_about_even() -> None:
    keys = [f"key:{number}" for number in range(20_000)]
    for nodes in (1, 10, 100):
        seen = ring_figures(nodes, keys, keys)
        assert seen.nodes == nodes
        assert seen.joined == pytest.approx(1 / (nodes + 1), rel=0.35)
        assert seen.left == pytest.approx(1 / nodes, rel=0.35)
        assert 1.0 <= seen.fullest < 1.5
        assert seen.fullest_asked >= 1.0
        assert seen.build_s > 0


def test_next_uses_are_where_the_token_comes_again() -> None:
    tokens = [1, 2, 1, 3, 2, 1]
    after = next_uses(tokens)
    assert after == [2, 4, 5, 6, 6, 6]
    assert all(a != b or a == 6 for a, b in pairwise(sorted(after)))
