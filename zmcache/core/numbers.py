"""The numbers that stand in the messages between nodes and clients: versions, kinds, flags, statuses, and the limits of all."""

from __future__ import annotations

from typing import Final

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
# the asker makes the value where it is missing: give it, or wait for who makes it, or grant a lease of ttl ms
FILL: Final = 11
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
# tell me each new value of these keys from now on; answered with the values that are there, and their versions
WATCH: Final = 29
UNWATCH: Final = 30  # no more
# how many NEWS the asker has seen; answered with a NEWS of no keys, which says how many were sent
FOLLOWING: Final = 31
NEWS: Final = 32  # not asked for: what has become of keys that the receiver keeps copies of, or watches
EXPLAIN: Final = 40  # what is known of this key there; nothing is changed by it
EXPLAINED: Final = 44
INVALIDATE: Final = 41  # what has these tags is old, if it is no newer than these versions
GENERATIONS: Final = 42  # digests of what the sender knows of tags: what does the receiver know more? Answered by INVALIDATE, or PONG: nothing
MOMENT: Final = 43  # which version would a set have now? Answered in kind

# Header flags.
FORWARDED: Final = 1  # request: a peer asks on behalf of its own caller; never to be forwarded again
NOT_OWNER: Final = 2  # answer: this node's ring gives some of these keys to another node
# GET: the asker makes what is missing, so nothing is loaded for it; it wants to know what is stale, too
FILLS: Final = 4
# GET: the new owner asks the former one. What it holds, or what is being loaded there; nothing is loaded for it
PEEK: Final = 8
LAST: Final = 128  # request: nobody else can be asked; who would rather send the asker on is to do what it can
ANEW: Final = 16  # LEAVE: the process is to start again in its place
# GET: the asker keeps copies of what the owner answers, and wants to hear when they are no longer true
KEEPS: Final = 32
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
# in the flags of an ANSWER: the value has tags, which are not told, so that nobody else may keep it
TAGS_FLAG: Final = 8
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
