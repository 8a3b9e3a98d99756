"""The messages between nodes and clients. `zmcache.core.wire` says how they become frames, `zmcache.core.numbers` which numbers stand in them.

Each message is a named tuple whose fields stand in wire order, the header's eight first (`header` makes them), so that encoding is packing the
tuple and these classes are the specification. Columns that nobody needs in a message are None.
"""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import msgspec

from zmcache.core.numbers import (
    FOREVER,
    MESSAGE_SPARE_BYTES,
    TTL_DEFAULT,
    VERSION,
)
from zmcache.errors import ProtocolError

Header: TypeAlias = tuple[int, int, int, int, int, int, int, str]


def header(
    kind: int, request_id: int, epoch: tuple[int, int], *, deadline_ms: int = 0, flags: int = 0, group: str = ""
) -> Header:
    """The fields that every message begins with, in this version. ``epoch`` is the sender's; only requests have a deadline. About 0.2 us."""
    return VERSION, kind, request_id, deadline_ms, epoch[0], epoch[1], flags, group


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node takes in one message, and from one connection. The same limits hold for what it sends."""

    key_bytes: int = 1024
    value_bytes: int = 1024 * 1024
    keys: int = 1000
    message_bytes: int = 8 * 1024 * 1024
    inflight_bytes: int = 64 * 1024 * 1024
    inflight_requests: int = 10_000


def room_for_value(limits: Limits, tags: str) -> int:
    """The longest value that fits a message together with these tags: they may take what a message has to spare, and more."""
    if not tags:
        return limits.value_bytes
    return min(limits.value_bytes, limits.message_bytes - limits.key_bytes - MESSAGE_SPARE_BYTES - len(tags.encode()))


class BadFrame(ProtocolError):
    """A frame that breaks a rule. ``request_id`` is None where not even that could be read."""

    def __init__(self, reason: str, *, request_id: int | None = None) -> None:
        super().__init__(reason)
        self.request_id = request_id


class Get(NamedTuple):
    """Ask for many keys of one group."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    keys: list[str]
    trace: str | None = None
    kept: list[int] | None = None
    """Of a GET with the flag KEEPS: the positions that it is for. None: all."""


class Set(NamedTuple):
    """Store many values. A ttl is in ms, `TTL_DEFAULT` or `FOREVER`. A value flag of `NONE_FLAG`: the value is None. ``tags``: as in `Changes`."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    keys: list[str]
    values: list[bytes]
    ttls_ms: list[int]
    value_flags: list[int] | None = None
    versions: list[int] | None = None
    tags: list[str] | None = None


class Delete(NamedTuple):
    """Delete many keys; USED, WATCH, UNWATCH and EXPLAIN, which has one key, have the same form."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    keys: list[str]


class Changes(NamedTuple):
    """ADD, TOUCH, INCR, CAS, GETS, FILL, PUT, RELEASE, COPY or OFFER of many keys. What a kind does not need is b"" or 0. A value of None is None.

    ``ttls_ms`` as in a SET; of a FILL how long the lease is to last. ``tokens`` are what a GETS told, or what a lease was granted with; of a
    FILL 1 asks for a new value even where there is a fresh one, and the token of a value for one in the place of that. Of a PUT, ``stale_ms``
    is how long beyond its life the value may be given while it is made anew, ``error_ms`` the same for when that fails, and ``took_ms`` how
    long it took to make. Of a COPY and an OFFER the tokens are versions; of a COPY ``ttls_ms`` is how long it is kept at all,
    ``fresh_ms`` (None: as long) how long it is fresh, ``stale_ms`` how long it may be given from now on while it is made anew, and a flag
    may say that the key is gone. ``tags`` are each key's as one text (`zmcache.core.tags`); with them a COPY has ``stamps``.
    """

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    keys: list[str]
    values: list[bytes | None]
    ttls_ms: list[int]
    tokens: list[int]
    stale_ms: list[int] | None = None
    error_ms: list[int] | None = None
    took_ms: list[int] | None = None
    trace: str | None = None
    fresh_ms: list[int] | None = None
    value_flags: list[int] | None = None
    tags: list[str] | None = None
    stamps: list[int] | None = None


class Invalidate(NamedTuple):
    """What has one of these tags, and is no newer than that tag's version, is old; so is all with any tag that is no newer than ``floor``."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    tags: list[str]
    versions: list[int]
    floor: int


class Digests(NamedTuple):
    """What sender and receiver are both to hold, by bucket of the keys' hashes: a digest of keys and versions in each. The answer has a position
    for each bucket. ``sender`` is a node id. Of GENERATIONS the digests are of tags, by bucket, or one of them all.
    """

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    digests: list[int]
    sender: str


class Following(NamedTuple):
    """The asker has seen ``seen`` NEWS of this node's ``incarnation`` (0: none yet)."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    incarnation: int
    seen: int


class Cancel(NamedTuple):
    """Nobody waits for these positions (None: for any) of the request whose id stands in the header. Not answered."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    positions: list[int] | None


class Word(NamedTuple):
    """DOUBT or HANDED, answered with PONG. The group is the sender's node id. ``number``: of the doubt; of a HANDED that nobody asked for 0.
    Or MOMENT: of the answer the version.
    """

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    number: int


class Query(NamedTuple):
    """PING, TOPOLOGY, STATS, CLEAR or LEAVE: no arguments. PONG: the answer to all but the second and third."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str


class Answer(NamedTuple):
    """The answer to some or all keys of a request. A life is in ms, or `FOREVER`. ``versions`` are tokens, where any was asked for."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    positions: list[int] | None
    statuses: bytes
    values: list[bytes | str | None]
    lives_ms: list[int]
    value_flags: list[int] | None = None
    versions: list[int] | None = None


class News(NamedTuple):
    """The ``number``-th message of its kind to this connection by this ``incarnation`` of the node; or, where it answers a FOLLOWING, without keys
    and with the number of the last. ``skipped`` counts the values of each key that came and went untold. A life is in ms, or `FOREVER`.
    """

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    incarnation: int
    number: int
    keys: list[str]
    values: list[bytes | None]
    lives_ms: list[int]
    versions: list[int]
    value_flags: list[int]
    skipped: list[int]


class Members(NamedTuple):
    """The answer to TOPOLOGY: the ring as this node has it, in parallel arrays. ``groups`` are those with more than one copy."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    node_ids: list[str]
    endpoints: list[str]
    weights: list[float]
    zones: list[str]
    states: list[str]
    groups: list[str] | None = None
    copies: list[int] | None = None


class Figures(NamedTuple):
    """The answer to STATS. ``group`` holds the id of the node that answers."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    names: list[str]
    figures: list[float]


class Explained(NamedTuple):
    """The answer to EXPLAIN. ``group`` holds the id of the node that answers. A row for each thing that is there of the key: which it is
    (`zmcache.core.explained`), how old, how long it is fresh, how long it is kept at all, its version (0: none) and the size of its value.
    Then why the last get missed (`zmcache.core.recall`), how long ago, and how many microseconds the last load took.
    """

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    places: list[int]
    ages_ms: list[int]
    lives_ms: list[int]
    kept_ms: list[int]
    versions: list[int]
    sizes: list[int]
    missed: int
    missed_ago_ms: int
    took_us: int


class Refusal(NamedTuple):
    """The whole request failed; ``code`` and ``message`` as in zmcache.errors."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    code: int
    message: str


class Change(NamedTuple):
    """One key's part of any request but a GET, as it is handed about inside a process; the fields as in `Set` and `Changes`."""

    kind: int
    key: str
    value: bytes | None = b""
    ttl_ms: int = TTL_DEFAULT
    token: int = 0
    stale_ms: int = 0
    error_ms: int = 0
    took_ms: int = 0
    fresh_ms: int = FOREVER
    flags: int = 0
    tags: str = ""
    stamp: int = 0


Request: TypeAlias = Get | Set | Delete | Changes | Invalidate | Digests | Following | Cancel | Word | Query
Reply: TypeAlias = Answer | News | Members | Figures | Explained | Refusal | Invalidate | Word | Query
Message: TypeAlias = Request | Reply
