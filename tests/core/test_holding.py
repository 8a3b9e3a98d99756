"""Who is to hold what, and digests of what two nodes share."""

from __future__ import annotations

import random

import pytest

from zmcache.core.holding import BUCKETS, Holding, add_to, bucket_of, hash_key, no_digests
from zmcache.core.ring import JOINING, LEAVING, Member, Ring, as_if_serving


def members(*names: str, **states: str) -> list[Member]:
    return [Member(name, f"tcp://{name}:1", state=states.get(name, "serving")) for name in names]


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_the_holders_are_the_rings_first_owners(copies: int) -> None:
    ring = Ring.build(members("a", "b", "c", "d"), 1)
    holding = Holding(ring, copies)
    for _ in range(2):  # as computed, and as remembered
        for n in range(500):
            owners = tuple(member.node_id for member in ring.owners(f"k{n}", copies))
            assert holding.of(hash_key(f"k{n}")) == owners
    assert Holding(Ring.EMPTY, copies).of(5) == ()


def test_who_joins_or_leaves_owns_nothing_yet_or_any_more_unless_nobody_serves() -> None:
    ring = Ring.build(members("a", "b", "c", b=JOINING, c=LEAVING), 1)
    assert {ring.owner(f"k{n}").node_id for n in range(100)} == {"a"}
    after = Ring.build(as_if_serving(ring.members), 1)
    assert {after.owner(f"k{n}").node_id for n in range(100)} == {"a", "b"}
    alone = Ring.build(members("b", "c", b=JOINING, c=JOINING), 1)
    assert {alone.owner(f"k{n}").node_id for n in range(100)} == {"b", "c"}


def test_a_ring_places_as_another_where_only_states_and_revisions_differ() -> None:
    serving, joining = Ring.build(members("a", "b"), 1), Ring.build(members("a", "b", b=JOINING), 2)
    assert not serving.places_as(joining)
    assert serving.places_as(Ring.build(as_if_serving(joining.members), 2))
    assert serving.places_as(Ring.build(members("b", "a"), 9))
    assert not serving.places_as(Ring.build(members("a", "c"), 1))


def test_equal_contents_have_equal_digests_in_whatever_order_they_came() -> None:
    rng = random.Random(1)
    entries = [(hash_key(f"k{n}"), rng.getrandbits(64)) for n in range(2000)]
    one, other = no_digests(), no_digests()
    for entry in entries:
        add_to(one, *entry)
    rng.shuffle(entries)
    for entry in entries:
        add_to(other, *entry)
    assert one == other
    assert len(one) == BUCKETS


def test_what_differs_shows_in_its_bucket_and_only_there() -> None:
    one, other = no_digests(), no_digests()
    for n in range(500):
        add_to(one, hash_key(f"k{n}"), 7)
        add_to(other, hash_key(f"k{n}"), 8 if n == 123 else 7)
    add_to(one, hash_key("only here"), 1)
    differing = {at for at in range(BUCKETS) if one[at] != other[at]}
    assert differing == {bucket_of(hash_key("k123")), bucket_of(hash_key("only here"))}
