"""The messages between nodes and clients, and the numbers that stand in them. `zmcache.core.wire` says how they become frames.

Each message is a named tuple whose fields stand in wire order, the header's eight first (`header` makes them), so that encoding is packing the
tuple and these classes are the specification. ``value_flags`` and ``versions`` are None until something uses them.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import msgspec

from zmcache.errors import ProtocolError

MAJOR: Final = 1
MINOR: Final = 0
VERSION: Final = MAJOR * 16 + MINOR

GET: Final = 1
SET: Final = 2
DELETE: Final = 3
PING: Final = 4
TOPOLOGY: Final = 5
STATS: Final = 6
ANSWER: Final = 17
MEMBERS: Final = 18
FIGURES: Final = 19
PONG: Final = 20
REFUSAL: Final = 21

# Header flags.
FORWARDED: Final = 1  # request: a peer asks on behalf of its own caller; never to be forwarded again
NOT_OWNER: Final = 2  # answer: this node's ring gives some of these keys to another node

# Statuses, one byte a key. From 32 on it is the code of an error (see zmcache.errors).
FROM_OWNER: Final = 0  # the owner had it
FROM_HOT: Final = 1  # the node that was asked had a copy
FROM_LOADER: Final = 2  # it was loaded for this request, or for another that was under way
DONE: Final = 3  # set: stored; delete: it was there
NOT_THERE: Final = 4  # delete: it was not there
NO_SUCH_KEY: Final = 16
FIRST_ERROR: Final = 32

TTL_DEFAULT: Final = 0  # in ttls_ms: the group's own
FOREVER: Final = -1  # in ttls_ms and lives_ms: does not expire

MAX_DEADLINE_MS: Final = 24 * 3600 * 1000
MAX_TTL_MS: Final = 100 * 365 * 24 * 3600 * 1000
MAX_TEXT: Final = 4096  # characters of a refusal's message
MAX_ROWS: Final = 65_536  # of a MEMBERS or FIGURES message: as many nodes as a ring can have
HEADER_FIELDS: Final = 8
# What a key of a SET, or a position of an ANSWER, costs in a frame besides its key and value.
ROW_OVERHEAD_BYTES: Final = 32

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


class Set(NamedTuple):
    """Store many values. A ttl is in ms, `TTL_DEFAULT` or `FOREVER`."""

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


class Delete(NamedTuple):
    """Delete many keys."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str
    keys: list[str]


class Query(NamedTuple):
    """PING, TOPOLOGY or STATS: a question with no arguments. PONG: the answer to the first."""

    version: int
    kind: int
    request_id: int
    deadline_ms: int
    revision: int
    digest: int
    flags: int
    group: str


class Answer(NamedTuple):
    """The answer to some or all keys of a GET, SET or DELETE. A life is in ms, or `FOREVER`."""

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


class Members(NamedTuple):
    """The answer to TOPOLOGY: the ring as this node has it, in parallel arrays."""

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


Request: TypeAlias = Get | Set | Delete | Query
Reply: TypeAlias = Answer | Members | Figures | Refusal | Query
Message: TypeAlias = Request | Reply
