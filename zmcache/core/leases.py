"""Leases: who makes the value of a key when the code is the caller's, and who waits for it. Pure; one table for each group, at the owner.

The first who asks for a missing key is granted a lease and makes the value; the others wait. A lease ends when its holder brings the value
or gives the lease back, when its time is over (the holder died or is slow), or when a set or a delete overtakes it; after that its token opens
nothing. (Nishtala et al., Scaling Memcache at Facebook, NSDI 2013, section 3.2.1: there a waiter is told to come back later, here it waits.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

W = TypeVar("W")


class Lease(NamedTuple):
    """The right to make a value, until ``until_s``."""

    token: int
    until_s: float


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
        """Grant a lease; what there was before has ended. Returns its token."""
        token = self._new_token()
        self._table[key] = Lease(token, until_s)
        return token

    def end(self, key: str, token: int, now_s: float) -> bool:
        """The holder of ``token`` has done. False: the lease had ended before."""
        lease = self.of(key, now_s)
        if lease is None or lease.token != token:
            return False
        del self._table[key]
        return True

    def drop(self, key: str) -> None:
        """Whatever lease there is, it has ended."""
        self._table.pop(key, None)

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
