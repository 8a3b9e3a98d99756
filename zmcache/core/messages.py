"""The messages between nodes and clients, and the numbers that stand in them. `zmcache.core.wire` says how they become frames.

Each message is a named tuple whose fields stand in wire order, the header's eight first (`header` makes them), so that encoding is packing the
tuple and these classes are the specification. Columns that nobody needs in a message are None.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import msgspec

from zmcache.errors import ProtocolError

MAJOR: Final = 2  # 2: a digest behind each message
MINOR: Final = 0
VERSION: Final = MAJOR * 16 + MINOR

GET: Final = 1
SET: Final = 2
DELETE: Final = 3
PING: Final = 4
TOPOLOGY: Final = 5
STATS: Final = 6
ADD: Final = 7  # set where nothing is
TOUCH: Final = 8  # give what is there another life
INCR: Final = 9  # add to an ASCII integer; the value is ``delta`` or ``delta initial``, the ttl that of the initial one
CAS: Final = 10  # set where the value is still the one of this token
FILL: Final = (
    11  # the asker makes the value where it is missing: give it, or wait for who makes it, or grant a lease of ttl ms
)
RELEASE: Final = 12  # give a lease back without a value
CANCEL: Final = 13  # nobody waits any more for these positions of the request of this id; not answered
CLEAR: Final = 14  # empty the group on this node
PUT: Final = 15  # what the holder of a lease has made
GETS: Final = 16  # as GET of the owner, with the value's token
ANSWER: Final = 17
MEMBERS: Final = 18
FIGURES: Final = 19
PONG: Final = 20
REFUSAL: Final = 21
COPY: Final = 22  # hold this as a copy, or as the new owner, unless something newer is there; the token is its version
OFFER: Final = 23  # the sender holds these keys at these versions: which are to be sent?
USED: Final = 24  # these keys are in use at their owner: a copy is not to be evicted as if nobody wanted it
DIGESTS: Final = 25  # of all that sender and receiver are both to hold: where do they differ?
DOUBT: Final = 26  # the sender was away: whoever holds something that it should have is to hand it over, and say so
HANDED: Final = 27  # the sender has handed over all that the receiver is to hold under the epoch of the header; answers the DOUBT of that number
LEAVE: Final = 28  # hand over, leave the ring and end; with the flag ANEW begin again
WATCH: Final = (
    29  # tell me each new value of these keys from now on; answered with the values that are there, and their versions
)
UNWATCH: Final = 30  # no more
FOLLOWING: Final = (
    31  # how many NEWS the asker has seen; answered with a NEWS of no keys, which says how many were sent
)
NEWS: Final = 32  # not asked for: what has become of keys that the receiver keeps copies of, or watches
EXPLAIN: Final = 40  # what is known of this key there; nothing is changed by it
EXPLAINED: Final = 44
INVALIDATE: Final = 41  # what has these tags is old, if it is no newer than these versions
GENERATIONS: Final = 42  # digests of what the sender knows of tags: what does the receiver know more? Answered by INVALIDATE, or PONG: nothing
MOMENT: Final = 43  # which version would a set have now? Answered in kind

# Header flags.
FORWARDED: Final = 1  # request: a peer asks on behalf of its own caller; never to be forwarded again
NOT_OWNER: Final = 2  # answer: this node's ring gives some of these keys to another node
FILLS: Final = (
    4  # GET: the asker makes what is missing, so nothing is loaded for it; it wants to know what is stale, too
)
PEEK: Final = (
    8  # GET: the new owner asks the former one. What it holds, or what is being loaded there; nothing is loaded for it
)
LAST: Final = 128  # request: nobody else can be asked; who would rather send the asker on is to do what it can
ANEW: Final = 16  # LEAVE: the process is to start again in its place
KEEPS: Final = (
    32  # GET: the asker keeps copies of what the owner answers, and wants to hear when they are no longer true
)
ALL_KEYS: Final = 64  # NEWS: nothing of the group is to be believed any more (no group: nothing at all)

# Statuses, one byte a key. From 32 on it is the code of an error (see zmcache.errors).
FROM_OWNER: Final = 0  # the owner had it
FROM_HOT: Final = 1  # the node that was asked had a copy
FROM_LOADER: Final = 2  # it was loaded for this request, or for another that was under way
DONE: Final = 3  # it was done: stored, deleted, touched; offer: it is to be sent; digest: they are equal
NOT_THERE: Final = 4  # delete, touch, cas, incr: it was not there
KEPT: Final = 5  # add, cas, copy: not done, another value stands; offer: it need not be sent; digest: they differ
IS_NONE: Final = 6  # the value is None, which somebody has set
STALE: Final = 7  # the value (None: it is None), past its life; somebody makes it anew
DUE: Final = 8  # the same, or not quite past its life: nobody makes it anew, and it is worth doing
LEASED: Final = 9  # fill: it is the asker's to make, by the token; the value is an old one, for when that fails (None: there is none)
LEASED_NONE: Final = 10  # the same, and the old value is None
LOST: Final = 11  # put, release: the lease had ended, nothing was stored
FILLING: Final = 12  # fill: somebody is still making it; ask again
NO_SUCH_KEY: Final = 16
FIRST_ERROR: Final = 32

NONE_FLAG: Final = 1  # in value_flags
GONE_FLAG: Final = 2  # in the flags of a COPY and of a NEWS: the key was deleted at this version
TAGS_FLAG: Final = (
    8  # in the flags of an ANSWER: the value has tags, which are not told, so that nobody else may keep it
)
OLD_FLAG: Final = 4  # in the flags of a NEWS: what the receiver keeps of the key is old; the new value is not told

# Kinds whose doing twice is not the same as once: they are not asked again when they may have been delivered.
ONCE_ONLY: Final = frozenset({ADD, INCR, CAS})

TTL_DEFAULT: Final = 0  # in ttls_ms: the group's own
FOREVER: Final = -1  # in ttls_ms and lives_ms: does not expire
UNKNOWN: Final = -1  # of an EXPLAINED, where nothing can be said

MAX_DEADLINE_MS: Final = 24 * 3600 * 1000
MAX_TTL_MS: Final = 100 * 365 * 24 * 3600 * 1000
MAX_TEXT: Final = 4096  # characters of a refusal's message
MAX_TRACE: Final = 64  # characters of a traceparent, which has 55
MAX_ROWS: Final = 65_536  # of a MEMBERS or FIGURES message: as many nodes as a ring can have
HEADER_FIELDS: Final = 8
# What a key of a SET, or a position of an ANSWER, costs in a frame besides its key and value.
ROW_OVERHEAD_BYTES: Final = 32
# What a message holds at least besides one key and one value (`zmcache.config`).
MESSAGE_SPARE_BYTES: Final = 1024

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
