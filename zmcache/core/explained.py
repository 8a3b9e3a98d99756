"""What `explain` tells of a key, and how a node's part of it travels."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import msgspec

from zmcache.core.messages import Explained, Header
from zmcache.core.numbers import FOREVER, MAX_TTL_MS, UNKNOWN
from zmcache.core.recall import (
    CLEARED,
    DELETED,
    ELSEWHERE,
    EVICTED,
    EXPIRED,
    MOVED,
    NEGATIVE,
    NEVER_SEEN,
    NOT_MISSED,
    TAGGED,
)

# Where something of a key is, as it travels.
IN_STORE: Final = 1
IN_HOT: Final = 2
ABSENT_THERE: Final = 3
TOMBSTONE: Final = 4
LOADING: Final = 5
ASKING: Final = 6
LEASED_OUT: Final = 7

_WHERE: Final = {
    IN_STORE: "store", IN_HOT: "hot copy", ABSENT_THERE: "no such key", TOMBSTONE: "deleted",
    LOADING: "being loaded", ASKING: "being asked for", LEASED_OUT: "being made by a caller",
}  # fmt: skip
NEAR: Final = "near copy"

_MISSED: Final = {
    NEVER_SEEN: "it was never seen there, or so long ago that it is forgotten",
    EXPIRED: "its time was over",
    EVICTED: "it was evicted: there was no room",
    DELETED: "it was deleted",
    CLEARED: "the group was cleared",
    MOVED: "it was moved away: the ring gave it to other nodes",
    NEGATIVE: "the loader knows no such key",
    ELSEWHERE: "another node owns it, and no copy was there",
    TAGGED: "a tag of it was invalidated",
}

HERE: Final = "here"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is there of a key. What is not known, or there is no such thing as, is None."""

    where: str
    """``"store"``; ``"hot copy"`` of what others own; ``"near copy"`` in a client; ``"no such key"``, as the loader said; ``"deleted"``, which is
    remembered for a while; ``"being loaded"``; ``"being asked for"`` at the owner; or ``"being made by a caller"``, who has a lease."""
    age_s: float | None = None
    """Since it was written, copied or begun."""
    ttl_s: float | None = None
    """What remains of its life; None: it does not end. 0: it is over, and it may be given only while it is made anew."""
    kept_s: float | None = None
    """How long it is kept at all, the time beyond its life included."""
    version: int | None = None
    size: int | None = None
    """Of the value, in bytes."""

    @property
    def is_fresh(self) -> bool:
        """Whether its life is not over."""
        return self.ttl_s is None or self.ttl_s > 0


class NodeExplanation(msgspec.Struct, frozen=True, kw_only=True):
    """What one node knows of a key."""

    node_id: str
    state: str
    """As whoever asks sees it: ``"here"`` (it is the asker), ``"up"``, ``"slow"``, ``"suspect"``, ``"trial"``, ``"down"``, ``"connecting"``."""
    error: str | None = None
    """Why it did not answer; all that follows is unknown then."""
    same_ring: bool = True
    """Whether it had the asker's ring. With another, owners may be others for it."""
    found: tuple[Kept, ...] = ()
    missed: str | None = None
    """Why the last get of the key found nothing there; None: none did, as far as it remembers."""
    missed_ago_s: float | None = None
    took_s: float | None = None
    """How long the last load took."""


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a key: its owners in order, and what each node that was asked told, owners first."""

    group: str
    key: str
    owners: tuple[str, ...]
    nodes: tuple[NodeExplanation, ...]
    near: Kept | None = None
    """The copy that this client keeps."""


class Look(NamedTuple):
    """A node's part. ``missed``: see `zmcache.core.recall`."""

    found: tuple[Kept, ...]
    missed: int = NOT_MISSED
    missed_ago_s: float | None = None
    took_s: float | None = None


def kept(
    place: int,
    *,
    now_s: float,
    age_s: float | None = None,
    fresh_until_s: float = math.inf,
    kept_until_s: float = math.inf,
    version: int | None = None,
    size: int | None = None,
) -> Kept:
    """What is there, by one of the places above. Times until which are of the clock that says ``now_s``."""
    return Kept(
        where=_WHERE[place], age_s=age_s, ttl_s=_left_s(fresh_until_s, now_s), kept_s=_left_s(kept_until_s, now_s),
        version=version, size=size,
    )  # fmt: skip


def told(node_id: str, state: str, look: Look, *, same_ring: bool = True) -> NodeExplanation:
    """A node's part, in words."""
    missed = (
        None
        if look.missed == NOT_MISSED
        else _MISSED.get(look.missed, "for a reason that this version has no word for")
    )
    return NodeExplanation(
        node_id=node_id, state=state, same_ring=same_ring, found=look.found, missed=missed,
        missed_ago_s=look.missed_ago_s, took_s=look.took_s,
    )  # fmt: skip


def explained(header: Header, look: Look) -> Explained:
    """A node's part as a message."""
    found = look.found
    places = {where: place for place, where in _WHERE.items()}
    return Explained(
        *header,
        [places[each.where] for each in found],
        [_ms(each.age_s, UNKNOWN) for each in found],
        [_ms(each.ttl_s, FOREVER) for each in found],
        [_ms(each.kept_s, FOREVER) for each in found],
        [each.version or 0 for each in found],
        [UNKNOWN if each.size is None else each.size for each in found],
        look.missed,
        _ms(look.missed_ago_s, UNKNOWN),
        UNKNOWN if look.took_s is None else round(look.took_s * 1_000_000),
    )


def look_of(message: Explained) -> Look:
    """The same, back. What a newer node tells of places that this version does not know is left out."""
    rows = zip(
        message.places, message.ages_ms, message.lives_ms, message.kept_ms, message.versions, message.sizes, strict=True
    )
    found = tuple(
        Kept(
            where=_WHERE[place], age_s=_s(age_ms), ttl_s=_s(life_ms), kept_s=_s(kept_ms),
            version=version or None, size=None if size == UNKNOWN else size,
        )
        for place, age_ms, life_ms, kept_ms, version, size in rows
        if place in _WHERE
    )  # fmt: skip
    took_us = message.took_us
    took_s = None if took_us == UNKNOWN else took_us / 1_000_000
    return Look(found, message.missed, _s(message.missed_ago_ms), took_s)


def _left_s(until_s: float, now_s: float) -> float | None:
    return None if until_s == math.inf else max(0.0, until_s - now_s)


def _ms(seconds: float | None, none: int) -> int:
    return none if seconds is None else min(max(0, math.ceil(seconds * 1000)), MAX_TTL_MS)


def _s(ms: int) -> float | None:
    return None if ms < 0 else ms / 1000
