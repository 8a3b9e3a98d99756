"""Pure: what was read from etcd -> the snapshots to deliver.

- A record that does not describe a member is reported once through ``complain`` and counts as absent.
- A snapshot's revision is etcd's revision of the last change to a member, so that all who watched the same changes name
  them alike. So a snapshot is due when that revision has moved, even if the members are the same again (a restarted node
  has put its key anew: a newcomer will read that revision, and those who were there must agree with it). Records that
  describe no member move nothing. Where a deletion was missed (it leaves no key to read a revision from) the
  revision is that of the listing.
- It never falls and always rises when the members change: if etcd's own does not (its data are gone or were restored, or withheld
  removals come due), the next snapshot is the last one's revision plus one, until etcd's has passed it.
- While removals are withheld, a serving member that has gone from etcd stays. That is for the moments after etcd was away or this
  node's own registration had lapsed: the others then register again one by one, and without this a full ring would
  shrink to almost nothing and grow again. Members that had said they leave are never kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zmcache.core.ring import Member
from zmcache.discovery import record
from zmcache.discovery.base import Snapshot
from zmcache.discovery.etcd.connection import Change, Listing


class View:
    """The members as of the last listing (at revision ``listed``) and the changes since."""

    def __init__(self, prefix: bytes, complain: Callable[[bytes, bytes, str], None]) -> None:
        self._prefix, self._complain = prefix, complain
        self._members: dict[str, Member] = {}
        self.listed = 0
        self._changed = 0
        self.delivered: Snapshot | None = None

    def replace(self, listing: Listing) -> bool:
        """Take over a listing. True if the members in it are not those that were known."""
        members: dict[str, Member] = {}
        newest = 0
        for key, entry in listing.entries.items():
            if (member := self._read(key, entry.value)) is not None:
                members[member.node_id] = member
                newest = max(newest, entry.mod_revision)
        differ = members != self._members
        if listing.revision < self.listed or not self.listed:
            self._changed = newest or listing.revision
        elif newest > self._changed:
            self._changed = newest
        elif differ:
            self._changed = listing.revision
        self._members, self.listed = members, listing.revision
        return differ

    def is_news(self, change: Change) -> bool:
        """False for what the last listing already contained: a watch may still bring it after a listing."""
        return change.mod_revision > self.listed

    def apply(self, changes: Iterable[Change]) -> None:
        """Take over what a watch brought."""
        for change in changes:
            if not self.is_news(change):
                continue
            member = self._read(change.key, change.entry.value) if change.entry else None
            if member is not None:
                self._members[member.node_id] = member
            elif self._members.pop(_node_id(self._prefix, change.key), None) is None:
                continue
            self._changed = max(self._changed, change.mod_revision)

    def take_snapshot(self, *, withhold_removals: bool) -> Snapshot | None:
        """The next snapshot to deliver, and count it as delivered. None: nothing has changed."""
        members = dict(self._members)
        last = self.delivered
        if last is not None and withhold_removals:
            for member in last.members:
                if member.state == "serving":
                    members.setdefault(member.node_id, member)
        listed = tuple(members[node_id] for node_id in sorted(members))
        revision = self._changed
        if last is not None:
            revision = max(revision, last.revision + (listed != last.members))
            if revision == last.revision:
                return None
        self.delivered = Snapshot(revision, listed)
        return self.delivered

    def _read(self, key: bytes, value: bytes) -> Member | None:
        try:
            return record.decode(_node_id(self._prefix, key), value)
        except record.BadRecord as exc:
            self._complain(key, value, str(exc))
            return None


def _node_id(prefix: bytes, key: bytes) -> str:
    """The rest of the key; empty, and so refused by `record`, where it is not text."""
    try:
        return key.removeprefix(prefix).decode()
    except UnicodeDecodeError:
        return ""
