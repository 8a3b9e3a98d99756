"""Who owns what, however a ring came about."""

from __future__ import annotations

import random

import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from zmcache.core import points as circle
from zmcache.core.ring import Epoch, Member, Ring

KEYS = [f"key:{number:09d}" for number in range(20_000)]


def nodes(count: int, *, first: int = 0) -> list[Member]:
    return [Member(f"node-{number}", f"tcp://10.0.0.1:{number}") for number in range(first, first + count)]


def owners_of(ring: Ring, keys: list[str] = KEYS) -> list[str]:
    return [ring.owner(key).node_id for key in keys]


def naive_owner(members: list[Member], key: str, points: int) -> str:
    """The definition, without any index."""
    placed = sorted(
        (xxhash.xxh3_64_intdigest(f"{m.node_id}#{i}".encode()), m.node_id)
        for m in members
        for i in range(max(1, round(points * m.weight)))
    )
    at = xxhash.xxh3_64_intdigest(key.encode())
    return next((node_id for point, node_id in placed if point >= at), placed[0][1])


def test_an_empty_ring_is_false_and_has_no_owner() -> None:
    assert not Ring.EMPTY
    assert len(Ring.EMPTY) == 0
    assert Ring.EMPTY.owners("a", 2) == ()
    assert Ring.EMPTY.share() == {}
    assert Ring.build([], 0).epoch == Ring.EMPTY.epoch == Epoch(0, 0)
    with pytest.raises(LookupError):
        Ring.EMPTY.owner("a")


def test_one_node_owns_everything() -> None:
    ring = Ring.build(nodes(1), 1)
    assert set(owners_of(ring)) == {"node-0"}
    assert ring.share() == {"node-0": 1.0}
    assert ring.owners("a", 3) == tuple(nodes(1))


@pytest.mark.parametrize("points", [1, 3, 64])
def test_owners_are_those_of_the_definition(points: int) -> None:
    members = [Member(f"n{i}", f"tcp://h:{i}", weight=1 + i % 3) for i in range(7)]
    ring = Ring.build(members, 1, points=points)
    for key in KEYS[:300]:
        assert ring.owner(key).node_id == naive_owner(members, key, points)


def test_the_order_of_the_members_never_matters() -> None:
    members = nodes(12)
    expected = owners_of(Ring.build(members, 1))
    random.Random(3).shuffle(members)
    assert owners_of(Ring.build(members, 1)) == expected


def test_the_fullest_of_ten_nodes_has_little_more_than_the_mean() -> None:
    share = Ring.build(nodes(10), 1).share()
    assert sum(share.values()) == pytest.approx(1.0)
    assert max(share.values()) < 0.1 * 1.12
    assert min(share.values()) > 0.1 * 0.88


def test_the_share_is_what_keys_meet() -> None:
    ring = Ring.build(nodes(5), 1)
    met = owners_of(ring)
    for node_id, share in ring.share().items():
        assert met.count(node_id) / len(met) == pytest.approx(share, abs=0.02)


def test_weights_scale_the_share() -> None:
    ring = Ring.build([Member("small", "e"), Member("big", "e", weight=3.0), Member("tiny", "e", weight=0.0001)], 1)
    share = ring.share()
    assert share["big"] / share["small"] == pytest.approx(3.0, rel=0.15)
    assert 0 < share["tiny"] < 0.02


def test_a_joining_node_takes_only_its_own_share() -> None:
    before, after = Ring.build(nodes(9), 1), Ring.build(nodes(10), 2)
    moved = [(a, b) for a, b in zip(owners_of(before), owners_of(after), strict=True) if a != b]
    assert {b for _, b in moved} == {"node-9"}
    assert len(moved) / len(KEYS) == pytest.approx(0.1, abs=0.02)


def test_a_leaving_node_stays_a_member_but_owns_nothing() -> None:
    members = nodes(4)
    members[2] = members[2]._replace(state="leaving")
    ring = Ring.build(members, 1)
    assert "node-2" in ring
    assert ring.member("node-2") == members[2]
    assert ring.member("stranger") is None
    assert ring.share()["node-2"] == 0.0
    assert owners_of(ring) == owners_of(Ring.build([m for m in members if m.state == "serving"], 1))
    assert len(ring.owners("a", 4)) == 3


def test_when_all_leave_they_go_on_owning() -> None:
    leaving = [member._replace(state="leaving") for member in nodes(3)]
    assert owners_of(Ring.build(leaving, 2)) == owners_of(Ring.build(nodes(3), 1))


def test_owners_are_distinct_and_begin_with_the_owner() -> None:
    ring = Ring.build(nodes(5), 1)
    for key in KEYS[:200]:
        owners = ring.owners(key, 3)
        assert owners[0] == ring.owner(key) == ring.members[ring.owner_index(key)]
        assert len({m.node_id for m in owners}) == 3
    assert len(ring.owners("a", 99)) == 5
    assert ring.owners("a", 0) == ()


def test_the_second_owner_takes_over_when_the_first_goes() -> None:
    members = nodes(6)
    ring = Ring.build(members, 1)
    for key in KEYS[:50]:
        first, second = ring.owners(key, 2)
        assert Ring.build([m for m in members if m != first], 2, points=512).owner(key) == second


def test_equal_points_are_settled_by_node_id(monkeypatch: pytest.MonkeyPatch) -> None:
    real = circle.hash_key
    # Every node has the same points: only ties are left.
    monkeypatch.setattr(circle, "hash_key", lambda text: real(text.split("#")[1]) if "#" in text else real(text))
    members = nodes(5)
    expected = owners_of(Ring.build(members, 1), KEYS[:500])
    assert set(expected) == {"node-0"}
    ring = Ring.build(members[3:], 1)
    for count in (2, 1, 0):
        ring = Ring.build(members[count:], 1, previous=ring)
    assert owners_of(ring, KEYS[:500]) == expected
    # Taking one of many equal points away must take that node's.
    assert set(owners_of(Ring.build(members[1:], 2, previous=ring), KEYS[:500])) == {"node-1"}


def test_a_repeated_id_counts_once_whatever_the_order() -> None:
    twice = [Member("a", "tcp://h:1"), Member("a", "tcp://h:2"), Member("b", "tcp://h:3")]
    assert Ring.build(twice, 1).epoch == Ring.build(twice[::-1], 1).epoch
    assert len(Ring.build(twice, 1)) == 2


def test_the_epoch_tells_what_matters_apart() -> None:
    base = Ring.build(nodes(3), 5).epoch
    assert Ring.build(nodes(3)[::-1], 5).epoch == base
    for change in ({"endpoint": "x"}, {"weight": 2.0}, {"zone": "z"}, {"state": "leaving"}, {"node_id": "other"}):
        members = nodes(3)
        members[1] = members[1]._replace(**change)
        assert Ring.build(members, 5).epoch.digest != base.digest
    assert 0 < base.digest < 1 << 64


def test_only_a_greater_revision_is_newer() -> None:
    assert Epoch(2, 1).newer_than(Epoch(1, 9))
    assert not Epoch(2, 1).newer_than(Epoch(2, 9))
    assert not Epoch(1, 9).newer_than(Epoch(2, 1))
    assert not Epoch(0, 2).newer_than(Epoch(0, 1))


def test_the_ring_is_the_same_in_every_process_and_version() -> None:
    ring = Ring.build([Member("a", "tcp://h:1"), Member("b", "tcp://h:2"), Member("c", "tcp://h:3")], 7)
    assert owners_of(ring, ["alpha", "beta", "gamma", "délta", "5"]) == ["b", "b", "b", "c", "a"]
    assert ring.epoch == Epoch(7, 0x82DC9679FAC09F98)


def test_too_many_members_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(circle, "MAX_NODES", 3)
    with pytest.raises(ValueError, match="at most 3 members, not 4"):
        Ring.build(nodes(4), 1)


MEMBERSHIPS = st.lists(
    st.lists(
        st.builds(
            Member,
            node_id=st.sampled_from([f"n{i}" for i in range(14)]),
            endpoint=st.sampled_from(["tcp://h:1", "tcp://h:2"]),
            weight=st.sampled_from([0.5, 1.0, 2.0]),
            state=st.sampled_from(["serving", "serving", "serving", "leaving"]),
        ),
        unique_by=lambda member: member.node_id,
        max_size=14,
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(MEMBERSHIPS)
def test_a_ring_built_from_another_is_the_one_built_anew(memberships: list[list[Member]]) -> None:
    ring = Ring.EMPTY
    for revision, members in enumerate(memberships):
        ring = Ring.build(members, revision, points=16, previous=ring)
        anew = Ring.build(members, revision, points=16)
        assert ring.epoch == anew.epoch
        assert sorted(ring.members) == sorted(members)
        assert ring.share() == anew.share()
        if members:
            for key in KEYS[:200]:
                assert ring.owner(key) == anew.owner(key)
                assert ring.owners(key, 3) == anew.owners(key, 3)


def test_many_small_changes_do_not_wear_a_ring() -> None:
    source = random.Random(11)
    members = {member.node_id: member for member in nodes(40)}
    ring = Ring.build(members.values(), 0)
    for revision in range(1, 40):
        name = f"node-{source.randrange(60)}"
        if members.pop(name, None) is None:
            members[name] = Member(name, "tcp://h:1", weight=source.choice([0.5, 1.0]))
        ring = Ring.build(members.values(), revision, previous=ring)
    anew = Ring.build(members.values(), 39)
    assert owners_of(ring) == owners_of(anew)
    assert ring.share() == anew.share()
    assert all(ring.members[ring.owner_index(key)] == ring.owner(key) for key in KEYS[:100])


def test_another_endpoint_moves_no_key_and_costs_no_points() -> None:
    members = nodes(3)
    before = Ring.build(members, 1)
    members[0] = members[0]._replace(endpoint="tcp://elsewhere:1")
    after = Ring.build(members, 2, previous=before)
    assert after.member("node-0") == members[0]
    assert before.movement_to(after).share == 0.0


def test_the_movement_is_what_sampling_shows() -> None:
    before = Ring.build(nodes(6), 1)
    after = Ring.build(nodes(6, first=1), 2, previous=before)
    movement = before.movement_to(after)
    moved = [(a, b) for a, b in zip(owners_of(before), owners_of(after), strict=True) if a != b]
    assert movement.share == pytest.approx(len(moved) / len(KEYS), abs=0.01)
    for node_id, share in movement.gained.items():
        assert share == pytest.approx(sum(b == node_id for _, b in moved) / len(KEYS), abs=0.01)
    assert movement.lost["node-0"] == pytest.approx(before.share()["node-0"])
    assert movement.gained["node-6"] == pytest.approx(after.share()["node-6"])
    assert sum(movement.lost.values()) == pytest.approx(movement.share)


def test_the_movement_from_and_to_nothing_is_everything() -> None:
    ring = Ring.build(nodes(2), 1)
    assert Ring.EMPTY.movement_to(ring).share == 1.0
    assert ring.movement_to(Ring.EMPTY).lost == pytest.approx(ring.share())
    assert ring.movement_to(ring) == (0.0, {}, {})
