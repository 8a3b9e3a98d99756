"""What was read from etcd -> snapshots: pure, so each interleaving is spelled out."""

from __future__ import annotations

import pytest
from etcd_fixture import member

from zmcache.core.ring import Member
from zmcache.discovery import Snapshot, record
from zmcache.discovery.etcd.complaints import Complaints
from zmcache.discovery.etcd.connection import Change, Entry, Listing, end_of_prefix
from zmcache.discovery.etcd.view import View

PREFIX = b"/zmcache/c/nodes/"
A, B, C = member("a", 1), member("b", 2), member("c", 3)


@pytest.fixture
def view() -> View:
    return View(PREFIX, Complaints())


def put(which: Member, revision: int) -> tuple[bytes, Entry]:
    return PREFIX + which.node_id.encode(), Entry(record.encode(which).encode(), revision, 1)


def listing(revision: int, *entries: tuple[bytes, Entry]) -> Listing:
    return Listing(revision, dict(entries))


def changed(which: Member, revision: int) -> Change:
    key, entry = put(which, revision)
    return Change(key, entry, revision)


def gone(which: Member, revision: int) -> Change:
    return Change(PREFIX + which.node_id.encode(), None, revision)


def take(view: View, *, withhold: bool = False) -> Snapshot | None:
    return view.take_snapshot(withhold_removals=withhold)


def test_who_listed_and_who_watched_name_the_same_members_alike(view: View) -> None:
    other = View(PREFIX, Complaints())
    view.replace(listing(5, put(A, 5)))
    take(view)
    view.apply([changed(B, 6)])
    other.replace(listing(9, put(A, 5), put(B, 6)))  # etcd moved on for other reasons
    assert take(view) == take(other) == Snapshot(6, (A, B))


def test_a_key_put_anew_moves_the_revision_for_all(view: View) -> None:
    view.replace(listing(5, put(A, 5)))
    take(view)
    view.apply([changed(A, 8)])
    assert take(view) == Snapshot(8, (A,))
    assert take(view) is None


def test_what_a_listing_contained_is_not_taken_back_by_a_late_event(view: View) -> None:
    view.replace(listing(9, put(A, 9)))
    take(view)
    view.apply([gone(A, 8), changed(A._replace(weight=5.0), 7)])
    assert take(view) is None


def test_a_deletion_that_was_missed_raises_the_revision(view: View) -> None:
    view.replace(listing(5, put(A, 4), put(B, 5)))
    take(view)
    assert view.replace(listing(9, put(A, 4)))
    assert take(view) == Snapshot(9, (A,))


def test_revisions_do_not_fall_when_etcd_lost_its_data_and_follow_it_once_it_has_passed(view: View) -> None:
    view.replace(listing(500, put(A, 500), put(B, 499)))
    take(view)
    view.replace(listing(3, put(A, 3)))
    assert take(view) == Snapshot(501, (A,))
    view.apply([changed(B, 4)])
    assert take(view) == Snapshot(502, (A, B))
    view.apply([gone(B, 700)])
    assert take(view) == Snapshot(700, (A,))


def test_withheld_members_stay_until_they_are_due_unless_they_said_they_leave(view: View) -> None:
    leaving = C._replace(state="leaving")
    view.replace(listing(5, put(A, 3), put(B, 4), put(leaving, 5)))
    take(view)
    view.apply([gone(B, 6), gone(leaving, 7)])
    assert take(view, withhold=True) == Snapshot(7, (A, B))
    assert take(view, withhold=True) is None
    assert take(view) == Snapshot(8, (A,))


def test_garbage_moves_nothing_but_spoils_the_member_it_replaced(view: View) -> None:
    view.replace(listing(5, put(A, 5)))
    take(view)
    view.apply([Change(PREFIX + b"x", Entry(b"nonsense", 6, 0), 6), Change(PREFIX + b"\xff", Entry(b"{}", 7, 0), 7)])
    assert take(view) is None
    view.apply([Change(PREFIX + b"a", Entry(b"nonsense", 8, 0), 8)])
    assert take(view) == Snapshot(8, ())


def test_an_empty_cluster_is_a_snapshot_too(view: View) -> None:
    view.replace(listing(7))
    assert take(view) == Snapshot(7, ())


def test_a_members_last_seen_are_followed_by_what_etcd_says(view: View) -> None:
    view.delivered = Snapshot(90, (A, B))
    view.replace(listing(40, put(A, 40)))
    assert take(view, withhold=True) is None
    assert take(view) == Snapshot(91, (A,))


def test_the_end_of_a_prefix_takes_in_its_keys_and_no_others() -> None:
    end = end_of_prefix(b"/zmcache/a/nodes/")
    assert b"/zmcache/a/nodes/\xff" < end <= b"/zmcache/a/nodes0"


def test_complaints_are_said_once_and_at_a_rate(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    complain = Complaints(lambda: now)
    for _ in range(3):
        complain(b"k", b"v", "why")
    assert len(caplog.records) == complain.count == 1
    for number in range(100):
        complain(b"k%d" % number, b"v", "why")
    assert len(caplog.records) == 10
    now = 61.0
    complain(b"another", b"v", "why")
    assert len(caplog.records) == 11
