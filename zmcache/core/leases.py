"""Leases: who makes the value of a key when the code is the caller's, and who waits for it. Pure; one table for each group, at the owner.

The first who asks for a missing key is granted a lease and makes the value; the others wait. When the time of a lease is over (its holder died
or is slow) another may be granted one, but what the first brings is still taken, if it is the first to bring anything: so what takes longer
than its lease is kept all the same. All leases of a key end when a value is brought, and when a set or a delete overtakes them; after that
their tokens open nothing. (Nishtala et al., Scaling Memcache at Facebook, NSDI 2013, section 3.2.1: there a waiter is told to come back later,
here it waits.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Generic, NamedTuple, TypeVar

W = TypeVar("W")

# Holders of one key whose time is over and who may still bring a value. As many as make one at once in a bad hour, and no list without end.
_SLOW_MAX: Final = 64


class Lease(NamedTuple):
    """The right to make a value, which is one's own until ``until_s``. ``slow``: the tokens of those whose time was over before."""

    token: int
    until_s: float
    slow: tuple[int, ...] = ()


class Leases(Generic[W]):
    """The leases of a group, and for each those who wait, in the order in which they came. ``new_token``: a number never given before."""

    __slots__ = ("_new_token", "_table", "_waiting")

    def __init__(self, new_token: Callable[[], int]) -> None:
        self._new_token = new_token
        self._table: dict[str, Lease] = {}
        self._waiting: dict[str, dict[W, None]] = {}

    def of(self, key: str, now_s: float) -> Lease | None:
        """The lease that runs now."""
        lease = self._table.get(key)
        return lease if lease is not None and lease.until_s > now_s else None

    def grant(self, key: str, until_s: float) -> int:
        """Grant a lease, the time of what there was before being over. Returns its token."""
        token = self._new_token()
        before = self._table.get(key)
        slow = () if before is None else (*before.slow, before.token)[-_SLOW_MAX:]
        self._table[key] = Lease(token, until_s, slow)
        return token

    def end(self, key: str, token: int) -> bool:
        """The holder of ``token`` brings the value. False: it comes too late, after another's value, a set or a delete."""
        lease = self._table.get(key)
        if lease is None or not token or (token != lease.token and token not in lease.slow):
            return False
        del self._table[key]
        return True

    def give_back(self, key: str, token: int) -> bool:
        """The holder of ``token`` brings nothing. True: its lease was the last one granted, and the next may be."""
        lease = self._table.get(key)
        if lease is None or not token:
            return False
        if token != lease.token:
            if token in lease.slow:
                self._table[key] = lease._replace(slow=tuple(other for other in lease.slow if other != token))
            return False
        if lease.slow:
            self._table[key] = Lease(0, -math.inf, lease.slow)
        else:
            del self._table[key]
        return True

    def drop(self, key: str) -> None:
        """Whatever leases there are, they have ended."""
        self._table.pop(key, None)

    def drop_slow(self, now_s: float) -> None:
        """All whose time is over have ended."""
        self._table = {key: lease._replace(slow=()) for key, lease in self._table.items() if lease.until_s > now_s}

    def wait(self, key: str, waiter: W) -> None:
        """One more who waits for the value."""
        self._waiting.setdefault(key, {})[waiter] = None

    def leave(self, key: str, waiter: W) -> None:
        """It does not wait any more. No effect when it is not among them."""
        waiting = self._waiting.get(key)
        if waiting is not None and waiter in waiting:
            del waiting[waiter]
            if not waiting:
                del self._waiting[key]

    def waiters(self, key: str) -> list[W]:
        """Those who wait, the longest first."""
        return list(self._waiting.get(key, ()))

    def take_waiters(self, key: str) -> list[W]:
        """The same, and none of them waits any more."""
        return list(self._waiting.pop(key, ()))

    def waited_for(self) -> list[str]:
        """The keys that somebody waits for."""
        return list(self._waiting)

    def keys(self) -> list[str]:
        """The keys that have a lease, run out or not."""
        return list(self._table)

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def __len__(self) -> int:
        return len(self._table)
