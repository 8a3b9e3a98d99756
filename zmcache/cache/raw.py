"""What a group of calls asks of whatever is behind it: a cluster over the wire, or a store in this process. Bytes, statuses, no codec.

This is the border between the library that programs call and the ways to reach the data; everything above it is written once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from zmcache.cache.fences import Fences
from zmcache.cache.watching import Feed
from zmcache.core.calls import Duration
from zmcache.core.explained import Explanation
from zmcache.core.wire import Change, Limits
from zmcache.errors import ZmcacheError

Row: TypeAlias = tuple[bytes | None, int, int]
"""Value, status, remaining life in ms (below zero: for ever), as in an ANSWER."""
Told: TypeAlias = tuple[bytes | None, int, int, int]
"""The same, and the token of the value or of the lease, where one was asked for."""
GetDirectly: TypeAlias = Callable[[str, Duration | None], tuple[Row | None, Duration | None]]
"""The row of a key, or None where it has to be asked for through the loop; and the timeout that is left for that."""
SetDirectly: TypeAlias = Callable[
    [Change, Duration | None, Callable[[Callable[[], None]], None]], tuple[bool, Duration | None]
]
"""Whether it was done, or the loop has to do it; and the timeout that is left for that. What it gives the third argument is to be called on the
loop, before anything that is asked from then on.
"""


NOT_OPEN: Final = "it is not open: use it inside `async with zmcache.connect(...) as cache`"
CLOSED: Final = "it is closed: calls belong inside `async with zmcache.connect(...) as cache`"


class NearStatistics(NamedTuple):
    """Counters since the start, and sizes as they are now."""

    hits: int
    misses: int
    entries: int
    used_bytes: int
    told_old: int
    """Copies that went because their owner said so."""
    lost: int
    """Copies that went because it might not have."""


class HedgeStatistics(NamedTuple):
    """Counters since the start, of gets that could be asked of several nodes, and what is measured now."""

    gets: int
    sent: int
    """Gets that were asked for at another node too, since the first was late."""
    won: int
    """Of these, those that the other node answered first."""
    p95s_s: dict[str, float]
    """By node: who waits for longer waits for longer than 19 of 20."""


class Raw(Protocol):
    """One named group. A timeout of None is the connection's own, ``timeout_s``.

    What fails raises, as is said in `zmcache.errors`: `MeshError` where the cache could not be asked or did not answer in time.
    """

    name: str
    limits: Limits
    timeout_s: float
    fences: Fences
    """Told of every change that is made through here."""

    @property
    def get(self) -> Callable[[str, Duration | None], Awaitable[Row]]:
        """Get a key, loading it where there is a loader. Raises `InvalidKey` at once."""

    @property
    def get_far(self) -> Callable[[str, Duration | None], Awaitable[Row]]:
        """The same, for who has found no copy by `near`."""

    @property
    def peek(self) -> Callable[[str, Duration | None], Awaitable[Row]]:
        """What there is of a key, for an asker who makes what is missing or stale."""

    @property
    def get_directly(self) -> GetDirectly | None:
        """For threads that wait: a get that does without the loop; None where there is no such thing."""

    @property
    def set_directly(self) -> SetDirectly | None:
        """The same for a SET, which has been checked. Not to be used where there are no such gets."""

    near: Callable[[str], bytes | None] | None
    """The copy of a key that this process keeps, if it keeps any; None: it keeps none at all."""

    def watch(self, feed: Feed) -> Callable[[], None]:
        """Tell ``feed`` what becomes of its keys, beginning with what is there, until what is returned is called."""

    def hedge_statistics(self) -> HedgeStatistics | None:
        """What asking twice came to; None where nothing is."""

    def explain(self, key: str, timeout: Duration | None) -> Awaitable[Explanation]:
        """What is known of ``key``, here and at the nodes that are to hold it."""

    def near_statistics(self) -> NearStatistics | None:
        """What the copies here did; None where none are kept."""

    def forgo(self, key: str) -> None:
        """Who waited for ``get(key)`` or ``peek(key)`` was cancelled."""

    def get_many(
        self, keys: Iterable[str], timeout: Duration | None
    ) -> Awaitable[tuple[dict[str, bytes | None], dict[str, ZmcacheError]]]:
        """What exists, in the order asked, and what failed. Raises `InvalidKey`."""

    def change(self, change: Change, timeout: Duration | None) -> Awaitable[Told]:
        """Any other request of one key."""

    def change_many(self, changes: Sequence[Change], timeout: Duration | None) -> Awaitable[list[Told | ZmcacheError]]:
        """The same for many at once: how each went."""

    def post(self, change: Change) -> None:
        """Send it, and let nobody wait for the answer."""

    def invalidate_tags(self, tags: Sequence[str], timeout: Duration | None) -> Awaitable[None]:
        """What has one of these tags, which have been checked, is old, everywhere."""

    def clear(self, timeout: Duration | None) -> Awaitable[None]:
        """Empty the group, everywhere."""
