"""Tags: names that entries carry, and the version from which on what carries one is old. Pure.

Nothing is searched for: an entry that carries tags says since when it holds (*its stamp*: the version of its set, or the moment in which the lease
was granted whose holder made it), and is old when one of its tags was invalidated at that version or later. So a tag that is invalidated while a
value is being made makes that value old, too.

What is kept of each tag is the newest version at which it was invalidated. Tables of two nodes are made equal by taking the newer of each
(`raise_to`), in whatever order they hear of it; where they differ is told by digests over buckets of names. A table holds `TAGS_MOST`; of what it
has no room for it remembers the newest version, the *floor*, and takes all that has tags and is not newer for old: that costs values, and never
gives an old one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import reduce
from heapq import heapify, heappop, heappush
from itertools import islice
from operator import xor
from typing import Final

from zmcache.core.holding import BUCKETS, add_to, bucket_of, hash_key, no_digests
from zmcache.errors import InvalidTag

TAGS_A_KEY: Final = 32
TAG_BYTES: Final = 250
TAGS_MOST: Final = 100_000

WHOLE_GROUP: Final = "\n"
"""In place of a tag: all that a group holds. No tag of a caller's has this name."""
# The part of a full table that is let go of at once: a few milliseconds' work.
_LET_GO: Final = 128
_LATE_SPARE: Final = 1000
_SEPARATOR: Final = "\n"
_CONTROLS: Final = frozenset(map(chr, (*range(32), 127)))


def check_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Each once, in their order. Raises `InvalidTag` for what is no tag, and for too many."""
    if tags == ():
        return ()
    if isinstance(tags, str):
        raise InvalidTag(f'tags are a list of texts, not one text: tags=["{tags[:40]}"]')
    try:
        given = list(tags)
    except TypeError:
        raise InvalidTag(f"tags are a list of texts, not {type(tags).__name__}") from None
    for tag in given:
        check_tag(tag)
    checked = tuple(dict.fromkeys(given))
    if len(checked) > TAGS_A_KEY:
        raise InvalidTag(f"{len(checked)} tags on one key, limit {TAGS_A_KEY}")
    return checked


def check_tag(tag: object) -> None:
    """Raises `InvalidTag` unless it is text of 1 to `TAG_BYTES` bytes of UTF-8, without control characters."""
    if type(tag) is not str:
        raise InvalidTag(f"a tag is text, not {type(tag).__name__}")
    if not tag:
        raise InvalidTag("a tag is empty")
    try:
        size = len(tag.encode())
    except UnicodeEncodeError:
        raise InvalidTag("a tag is not valid Unicode text") from None
    if size > TAG_BYTES:
        raise InvalidTag(f"a tag of {size} bytes, limit {TAG_BYTES}")
    if not _CONTROLS.isdisjoint(tag):
        raise InvalidTag("a tag has a control character in it")


def joined_tags(tags: Iterable[str]) -> str:
    """A caller's ``tags=``, as one text for a frame or a store; of none it is empty. Raises as `check_tags`."""
    return _SEPARATOR.join(check_tags(tags))


def split_tags(joined: str) -> list[str]:
    """What `joined_tags` was given, at least one."""
    return joined.split(_SEPARATOR)


def check_joined(text: str) -> None:
    """Raises `InvalidTag` for what `joined_tags` never gives: it may come from anybody."""
    if text:
        tags = split_tags(text)
        if len(tags) > TAGS_A_KEY:
            raise InvalidTag(f"{len(tags)} tags on one key, limit {TAGS_A_KEY}")
        for tag in tags:
            check_tag(tag)


class Generations:
    """The table of one group."""

    __slots__ = ("_buckets", "_digests", "_late", "_least", "_most", "_newest", "_table", "floor")

    def __init__(self, most: int = TAGS_MOST) -> None:
        # Those that were told of longest ago first, which is nearly the order of their versions; those that are out of it are in `_late`, a heap.
        self._table: OrderedDict[str, int] = OrderedDict()
        self._late: list[tuple[int, str]] = []
        self._newest = 0
        self._buckets: list[set[str]] = [set() for _ in range(BUCKETS)]
        self._digests = no_digests()
        self._most = most
        self._least = 0
        self.floor = 0
        """What is no newer than this and carries any tag is old."""

    def __len__(self) -> int:
        return len(self._table)

    def of(self, tag: str) -> int:
        """The version at which it was invalidated last; 0: never."""
        return self._table.get(tag, 0)

    def newest(self, joined: str) -> int:
        """What carries these is old unless its stamp is greater than this. About 0.3 us for one tag."""
        table, newest = self._table, self._least
        for tag in joined.split(_SEPARATOR):
            version = table.get(tag, 0)
            if version > newest:
                newest = version
        return newest

    def raise_to(self, tag: str, version: int) -> bool:
        """It was invalidated at that version. False: that, or something newer, was known. About 3 us."""
        old = self._table.get(tag, 0)
        if version <= max(old, self.floor if tag != WHOLE_GROUP else 0):
            return False
        self._change(tag, old, version)
        self._table[tag] = version
        self._table.move_to_end(tag)
        if version < self._newest:
            self._note_late(tag, version)
        self._newest = max(self._newest, version)
        if tag == WHOLE_GROUP:
            self._least = max(self._least, version)
        if len(self._table) > self._most:
            # Several at once: who keeps copies is told that any of them may be old, whenever the floor rises.
            self._first()
            last = next(islice(self._table, max(0, self._most // _LET_GO - 1), None))
            self.raise_floor(self._table[last])
        return True

    def raise_floor(self, version: int) -> None:
        """All that has any tag, and is no newer than this, is old. No row is left that says no more than that: or two tables that know the same
        would differ.
        """
        if version <= self.floor:
            return
        self.floor = version
        self._least = max(self._least, version)
        while self._table and self._table[first := self._first()] <= version and first != WHOLE_GROUP:
            self._remove(first)
        while self._late and self._late[0][0] <= version:
            at, tag = heappop(self._late)
            if self._table.get(tag) == at and tag != WHOLE_GROUP:
                self._remove(tag)

    def _first(self) -> str:
        """The first that the floor can cover; the table is not empty."""
        if next(iter(self._table)) == WHOLE_GROUP:
            self._table.move_to_end(WHOLE_GROUP)
        return next(iter(self._table))

    def _note_late(self, tag: str, version: int) -> None:
        heappush(self._late, (version, tag))
        if len(self._late) > len(self._table) + _LATE_SPARE:
            # Most were invalidated again since.
            self._late = [row for row in self._late if self._table.get(row[1]) == row[0]]
            heapify(self._late)

    def _remove(self, tag: str) -> None:
        self._change(tag, self._table.pop(tag), 0)

    def _change(self, tag: str, old: int, version: int) -> None:
        position = hash_key(tag)
        bucket = self._buckets[bucket_of(position)]
        if old:
            add_to(self._digests, position, old)
        else:
            bucket.add(tag)
        if version:
            add_to(self._digests, position, version)
        else:
            bucket.discard(tag)

    # -- two tables ------------------------------------------------------------------------------------------------

    def digest(self) -> int:
        """One of everything: equal where two tables are."""
        return reduce(xor, self._digests, self.floor)

    def digests(self) -> list[int]:
        """One a bucket, the floor left out."""
        return self._digests.tolist()

    def differing(self, digests: list[int], most: int) -> list[tuple[str, int]]:
        """Rows of buckets whose digests are others here, ``most`` at the most, whole buckets where these fit; empty where none differs."""
        rows: list[tuple[str, int]] = []
        for bucket, mine, theirs in zip(self._buckets, self._digests, digests, strict=True):
            if mine != theirs:
                if rows and len(rows) + len(bucket) > most:
                    break
                rows += [(tag, self._table[tag]) for tag in bucket]
        return rows[:most]
