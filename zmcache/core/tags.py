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
from itertools import islice
from operator import xor
from typing import Final

import xxhash

from zmcache.core.holding import BUCKETS
from zmcache.errors import InvalidTag

TAGS_A_KEY: Final = 32
TAG_BYTES: Final = 250
TAGS_MOST: Final = 100_000

WHOLE_GROUP: Final = "\n"
"""In place of a tag: all that a group holds. No tag of a caller's has this name."""
# The part of a full table that is let go of at once: about two milliseconds' work.
_LET_GO: Final = 64
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

    __slots__ = ("_digests", "_least", "_most", "_table", "floor")

    def __init__(self, most: int = TAGS_MOST) -> None:
        # Those that were told of longest ago first.
        self._table: OrderedDict[str, int] = OrderedDict()
        self._most = most
        self._least = 0
        self._digests = [0] * BUCKETS
        self.floor = 0
        """What is no newer than this and carries any tag is old."""

    def __len__(self) -> int:
        return len(self._table)

    def __bool__(self) -> bool:
        return bool(self._table or self.floor)

    def of(self, tag: str) -> int:
        """The version at which it was invalidated last; 0: never."""
        return self._table.get(tag, 0)

    def newest(self, joined_tags: str) -> int:
        """What carries these is old unless its stamp is greater than this. About 0.3 us for one tag."""
        table, newest = self._table, self._least
        for tag in joined_tags.split(_SEPARATOR):
            version = table.get(tag, 0)
            if version > newest:
                newest = version
        return newest

    def raise_to(self, tag: str, version: int) -> bool:
        """It was invalidated at that version. False: that, or something newer, was known."""
        old = self._table.get(tag, 0)
        if version <= max(old, self.floor if tag != WHOLE_GROUP else 0):
            return False
        self._change(tag, old, version)
        self._table[tag] = version
        self._table.move_to_end(tag)
        if tag == WHOLE_GROUP:
            self._least = max(self._least, version)
        if len(self._table) > self._most:
            # Several at once: who keeps copies is told that any of them may be old, whenever the floor rises.
            self._first()
            last = next(islice(self._table, max(0, self._most // _LET_GO - 1), None))
            self.raise_floor(self._table[last])
        return True

    def _first(self) -> str:
        """The first that the floor can cover; the table is not empty."""
        if next(iter(self._table)) == WHOLE_GROUP:
            self._table.move_to_end(WHOLE_GROUP)
        return next(iter(self._table))

    def raise_floor(self, version: int) -> None:
        """All that has any tag, and is no newer than this, is old."""
        if version <= self.floor:
            return
        self.floor = version
        self._least = max(self._least, version)
        # Nearly in the order of their versions, so that this ends soon. The few that stand behind newer ones go when their turn comes, or in `prune`.
        while self._table and self._table[first := self._first()] <= version and first != WHOLE_GROUP:
            self._change(first, self._table.pop(first), 0)

    def prune(self) -> None:
        """Leave no tag that the floor covers: or two tables that say the same would differ. Looks at all of them."""
        if self.floor:
            for tag in [tag for tag, at in self._table.items() if at <= self.floor and tag != WHOLE_GROUP]:
                self._change(tag, self._table.pop(tag), 0)

    def _change(self, tag: str, old: int, version: int) -> None:
        bucket, position = _bucket_of(tag)
        self._digests[bucket] ^= _mixed(position, old) ^ _mixed(position, version)

    # -- two tables ------------------------------------------------------------------------------------------------

    def digest(self) -> int:
        """One of everything: equal where two tables are."""
        return reduce(xor, self._digests, self.floor)

    def digests(self) -> list[int]:
        """One a bucket, the floor left out."""
        return list(self._digests)

    def differing(self, digests: list[int], most: int) -> list[tuple[str, int]]:
        """Rows of buckets whose digests are others here, ``most`` at the most, whole buckets where these fit; empty where none differs."""
        buckets = {at for at, (mine, theirs) in enumerate(zip(self._digests, digests, strict=True)) if mine != theirs}
        by_bucket: dict[int, list[tuple[str, int]]] = {}
        if buckets:
            for tag, version in self._table.items():
                bucket = _bucket_of(tag)[0]
                if bucket in buckets:
                    by_bucket.setdefault(bucket, []).append((tag, version))
        rows: list[tuple[str, int]] = []
        for bucket_rows in by_bucket.values():
            if rows and len(rows) + len(bucket_rows) > most:
                break
            rows += bucket_rows
        return rows[:most]


def _bucket_of(tag: str) -> tuple[int, int]:
    position = xxhash.xxh3_64_intdigest(tag.encode())
    return position >> 56, position


def _mixed(position: int, version: int) -> int:
    """Of a tag that is not in the table, version 0, nothing."""
    if not version:
        return 0
    return xxhash.xxh3_64_intdigest(position.to_bytes(8, "little") + version.to_bytes(8, "little"))
