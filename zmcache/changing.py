"""What the owner of a key does at a change: set, add, cas, touch, incr, delete. All of each is one step of the loop, so none is torn.

The token of a value is a hash of it: `cas` stores where the value still is what the caller has seen. Nothing has to be kept for it, and a token
holds at a stand-in and after a restart too. (A value that was changed and changed back counts as unchanged.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from zmcache.core.flight import Outcome, failure
from zmcache.core.lives import Lives
from zmcache.core.marks import ABSENT, Marked, marked, read_mark
from zmcache.core.store import Store
from zmcache.core.tokens import token_of
from zmcache.core.wire import (
    ADD,
    CAS,
    DELETE,
    DONE,
    FROM_OWNER,
    INCR,
    KEPT,
    NO_SUCH_KEY,
    NOT_THERE,
    TOUCH,
    Change,
)
from zmcache.errors import InvalidValue, RequestError, ValueTooLarge

_INT_DIGITS: Final = 400  # of an entry that counts; more is refused before Python multiplies it out


class Changing:
    """The changes of one group's store."""

    def __init__(
        self, name: str, store: Store, lives: Lives, clock: Callable[[], float], is_brief: Callable[[str], bool]
    ) -> None:
        """``is_brief``: whether what is stored of a key now is kept briefly only."""
        self._name = name
        self._store = store
        self._lives = lives
        self._clock = clock
        self._is_brief = is_brief

    def apply(self, change: Change) -> Outcome:
        """Carry out one change of what is held here."""
        kind, key = change.kind, change.key
        if kind == DELETE:
            return self._delete(key)
        there = self._there(key)
        if kind == ADD and there is not None:
            return Outcome(None, KEPT, 0.0)
        if kind == TOUCH:
            return Outcome(None, NOT_THERE, 0.0) if there is None else self._touch(change)
        if kind == CAS:
            if there is None:
                return Outcome(None, NOT_THERE, 0.0)
            if token_of(there[0]) != change.token:
                return Outcome(None, KEPT, 0.0)
        if kind == INCR:
            return self._incr(change, there)
        return self._store_value(change.value, change)

    def keep(self, change: Change) -> Outcome:
        """Store what a lease holder made, with its stale time and all else that it said."""
        life_s = self._lives.of_set(change.ttl_ms, briefly=self._is_brief(change.key))
        return self._put(change, life_s)

    def _there(self, key: str) -> tuple[bytes | None, float] | None:
        """The value and its end, unless it is past its life."""
        now_s = self._clock()
        entry = self._store.lookup(key, now_s)
        if entry is None or entry[0] is ABSENT:
            return None
        held, expires_at_s = entry
        if isinstance(held, bytes):
            return held, expires_at_s
        mark = read_mark(held, expires_at_s)
        return (mark.value, mark.fresh_until_s) if now_s < mark.fresh_until_s else None

    def _store_value(self, value: bytes | None, change: Change) -> Outcome:
        life_s = self._lives.of_set(change.ttl_ms, briefly=self._is_brief(change.key))
        return self._put(change._replace(value=value, stale_ms=0, error_ms=0, took_ms=0), life_s)

    def _touch(self, change: Change) -> Outcome:
        """Another life for what is there. The times in which it may be given beyond its life, and how long it took to make, stay with it."""
        entry = self._store.lookup(change.key, self._clock())
        assert entry is not None
        held, kept_until_s = entry
        mark = Marked(held) if isinstance(held, bytes) else read_mark(held)
        beyond: dict[str, Any] = {}
        if mark.fresh_until_s < math.inf:
            beyond = {
                "stale_ms": max(0, round((mark.stale_until_s - mark.fresh_until_s) * 1000)),
                "error_ms": max(0, round((kept_until_s - mark.fresh_until_s) * 1000)),
                "took_ms": round(mark.took_s * 1000),
            }
        life_s = self._lives.of_set(change.ttl_ms, briefly=self._is_brief(change.key))
        return self._put(change._replace(value=mark.value, **beyond), life_s)

    def _put(self, change: Change, life_s: float) -> Outcome:
        now_s = self._clock()
        fresh_until_s = now_s + life_s
        stale_s, error_s = change.stale_ms / 1000, change.error_ms / 1000
        kept_s = life_s + max(stale_s, error_s)
        needs_mark = kept_s > life_s or change.took_ms
        held = marked(
            Marked(
                change.value,
                fresh_until_s if needs_mark else math.inf,
                fresh_until_s + stale_s if needs_mark else 0.0,
                change.took_ms / 1000,
            )
        )
        if not self._store.set(change.key, held, now_s + kept_s, now_s):
            limit = self._store.entry_limit_bytes
            what = f"the value is larger than one of group {self._name} may be"
            return failure(ValueTooLarge(what, size=len(held), limit=limit))
        return Outcome(None, DONE, fresh_until_s)

    def _delete(self, key: str) -> Outcome:
        there = self._there(key)
        self._store.delete(key, self._clock())
        return Outcome(None, NOT_THERE if there is None else DONE, 0.0)

    def _incr(self, change: Change, there: tuple[bytes | None, float] | None) -> Outcome:
        """Add to an ASCII integer. What is counted keeps its life; what is not there begins with the initial value and the ttl."""
        try:
            delta, *initial = [int(part) for part in (change.value or b"").split()]
        except ValueError:
            return failure(RequestError("an increment is a whole number"))
        if there is None:
            if not initial:
                return Outcome(None, NO_SUCH_KEY, 0.0)
            value, expires_at_s = b"%d" % initial[0], None
        else:
            old = there[0]
            if old is None or not old.isascii() or len(old) > _INT_DIGITS or not old.strip(b"-").isdigit():
                return failure(InvalidValue("what is there is not an ASCII integer"))
            try:
                value, expires_at_s = b"%d" % (int(old) + delta), there[1]
            except ValueError:
                return failure(InvalidValue("what is there is not an ASCII integer"))
        if expires_at_s is None:
            kept = self._store_value(value, change)
            return kept if kept.error else Outcome(value, FROM_OWNER, kept.expires_at_s)
        self._store.set(change.key, value, expires_at_s, self._clock())
        return Outcome(value, FROM_OWNER, expires_at_s)
