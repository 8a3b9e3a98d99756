"""The order of a key's nodes where they stand in zones."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from zmcache.core.ring import Member, Ring


def ring_of(*zones: str) -> Ring:
    members = [Member(f"node-{at}", f"tcp://h{at}:1", zone=zone) for at, zone in enumerate(zones)]
    return Ring.build(members, 1, points=16)


@given(st.lists(st.sampled_from(["", "x", "y", "z"]), min_size=1, max_size=9), st.integers(0, 20))
def test_each_zone_has_its_turn_before_any_has_a_second_and_n_changes_nothing(zones: list[str], n: int) -> None:
    ring, key = ring_of(*zones), f"k{n}"
    order = ring.owners(key, len(zones))
    assert len({member.node_id for member in order}) == len(zones)
    assert order[0] == ring.owner(key)
    assert all(ring.owners(key, n) == order[:n] for n in range(len(zones) + 2))
    if len(set(zones) - {""}) + zones.count("") > 1 and any(zones):
        rounds: dict[str, int] = {}
        seen = []
        for member in order:
            zone = member.zone or member.node_id
            rounds[zone] = rounds.get(zone, 0) + 1
            seen.append(rounds[zone])
        assert all(before <= after for before, after in pairwise(seen)), [m.zone for m in order]


def test_two_copies_never_stand_in_one_zone_where_there_are_two() -> None:
    ring = ring_of("x", "x", "x", "y")
    assert all({member.zone for member in ring.owners(f"k{n}", 2)} == {"x", "y"} for n in range(200))


def test_without_zones_and_in_one_zone_the_order_is_the_circles() -> None:
    plain, one = ring_of("", "", "", ""), ring_of("x", "x", "x", "x")
    for n in range(100):
        ids = [[member.node_id for member in ring.owners(f"k{n}", 4)] for ring in (plain, one)]
        assert ids[0] == ids[1]
