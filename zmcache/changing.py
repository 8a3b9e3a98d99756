"""What the owner of a key does at a change: set, add, cas, touch, incr, delete; and what whoever holds a copy does with the one it is sent.
All of each is one step of the loop, so none is torn.

Every change has a version (`zmcache.core.versions`) newer than what it takes the place of; a delete leaves its own behind
(`zmcache.core.tombstones`). A copy is taken when its version is the newer one, whatever order copies come in: so all who hold a key come to hold
the same. What has tags and is old by them (`zmcache.core.tagging`) is not there.

The token of a value is a hash of it: `cas` stores where the value still is what the caller has seen. Nothing has to be kept for it, and a token
holds at a stand-in and after a restart too. (A value that was changed and changed back counts as unchanged.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from zmcache.core.flight import Outcome, failure
from zmcache.core.lives import Lives
from zmcache.core.marks import ABSENT, Held, Marked, marked, read_mark
from zmcache.core.store import Store
from zmcache.core.tagging import Tagging
from zmcache.core.tokens import token_of
from zmcache.core.tombstones import Tombstones
from zmcache.core.versions import Versions, newer
from zmcache.core.wire import (
    ADD,
    CAS,
    COPY,
    DELETE,
    DONE,
    FOREVER,
    FROM_OWNER,
    GONE_FLAG,
    INCR,
    KEPT,
    MAX_TTL_MS,
    NO_SUCH_KEY,
    NONE_FLAG,
    NOT_THERE,
    SET,
    TOUCH,
    Change,
)
from zmcache.errors import InvalidValue, RequestError, ValueTooLarge

_INT_DIGITS: Final = 400  # of an entry that counts; more is refused before Python multiplies it out


class Changing:
    """The changes of one group's store."""

    def __init__(
        self,
        name: str,
        store: Store,
        lives: Lives,
        versions: Versions,
        tagging: Tagging,
        clock: Callable[[], float],
    ) -> None:
        self._name = name
        self._tagging = tagging
        self._store = store
        self._lives = lives
        self._versions = versions
        self._clock = clock
        self.on_change: Callable[[str], None] | None = None
        """Told the key of each value that is another from now on, or gone; not of those whose time is over, and of those that are evicted."""
        self._cleared = 0  # what is no newer than this is forgotten
        self.tombstones = Tombstones(clock())
        self._ended = Tombstones(clock())
        # What somebody who is to hold it has missed. It is no delete: when it is evicted here, another's copy of it is welcome.
        self._missed = Tombstones(clock())

    def apply(self, change: Change) -> Outcome:
        """Carry out one change of what is held here."""
        kind, key = change.kind, change.key
        if kind == SET:
            # It carries nothing but what a set may say, and asks for nothing that is there.
            return self._put(change, self._lives.of_set(change.ttl_ms))
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
            if token_of(there.value) != change.token:
                return Outcome(None, KEPT, 0.0)
            # What comes of a value has its tags, and is no newer than it: the caller has seen no more.
            change = change._replace(tags=there.tags, stamp=there.stamp)
        if kind == INCR:
            return self._incr(change, there)
        return self._store_value(change.value, change)

    def keep(self, change: Change) -> Outcome:
        """Store what a lease holder made, with its stale time and all else that it said."""
        life_s = self._lives.of_set(change.ttl_ms)
        return self._put(change, life_s)

    def _there(self, key: str) -> Marked | None:
        """The value with all that is known of it, unless it is past its life, or old."""
        # Not `lookup`: nobody has read it, and the statistics tell hits from changes.
        now_s = self._clock()
        entry = self._store.peek(key, now_s)
        if entry is None or entry[0] is ABSENT:
            return None
        held, expires_at_s, _ = entry
        if isinstance(held, bytes):
            return Marked(held, expires_at_s)
        mark = read_mark(held, expires_at_s)
        return None if self._tagging.hides(key, mark) or now_s >= mark.fresh_until_s else mark

    def _store_value(self, value: bytes | None, change: Change) -> Outcome:
        life_s = self._lives.of_set(change.ttl_ms)
        return self._put(change._replace(value=value, stale_ms=0, error_ms=0, took_ms=0), life_s)

    def _touch(self, change: Change) -> Outcome:
        """Another life for what is there. The times in which it may be given beyond its life, and how long it took to make, stay with it."""
        entry = self._store.peek(change.key, self._clock())
        if entry is None:
            return Outcome(None, NOT_THERE, 0.0)  # it has ended since it was found
        held, kept_until_s, _ = entry
        mark = Marked(held) if isinstance(held, bytes) else read_mark(held)
        beyond: dict[str, Any] = {"tags": mark.tags, "stamp": mark.stamp}
        if mark.fresh_until_s < math.inf:
            beyond |= {
                "stale_ms": _between_ms(mark.fresh_until_s, mark.stale_until_s),
                "error_ms": _between_ms(mark.fresh_until_s, kept_until_s),
                "took_ms": round(mark.took_s * 1000),
            }
        life_s = self._lives.of_set(change.ttl_ms)
        return self._put(change._replace(value=mark.value, **beyond), life_s)

    def _put(self, change: Change, life_s: float) -> Outcome:
        now_s = self._clock()
        fresh_until_s = now_s + life_s
        version = self._next_version(change.key)
        if type(change.value) is bytes and not (change.tags or change.stale_ms or change.error_ms or change.took_ms):
            # As nearly all are: what is held is the value itself.
            if not self._set(change.key, change.value, fresh_until_s, version):
                return self._too_large(change.value)
            return Outcome(None, DONE, fresh_until_s)
        stale_s, error_s = change.stale_ms / 1000, change.error_ms / 1000
        kept_s = life_s + max(stale_s, error_s)
        needs_mark = kept_s > life_s or change.took_ms
        held = marked(
            Marked(
                change.value,
                fresh_until_s if needs_mark else math.inf,
                fresh_until_s + stale_s if needs_mark else 0.0,
                change.took_ms / 1000,
                change.tags,
                change.stamp or version,
            )
        )
        if not self._set(change.key, held, now_s + kept_s, version):
            return self._too_large(held)
        return Outcome(None, DONE, fresh_until_s)

    def _set(self, key: str, held: Held, expires_at_s: float, version: int) -> bool:
        if not self._store.set(key, held, expires_at_s, self._clock(), version):
            return False
        self.tombstones.discard(key)
        self._ended.discard(key)
        self._missed.discard(key)
        if self.on_change is not None:
            self.on_change(key)
        return True

    def _too_large(self, held: Held) -> Outcome:
        what = f"the value is larger than one of group {self._name} may be"
        return failure(ValueTooLarge(what, size=len(held), limit=self._store.entry_limit_bytes))

    def _delete(self, key: str) -> Outcome:
        there = self._there(key)
        version = self._next_version(key)
        self._store.delete(key, self._clock())
        self._bury(key, version)
        if self.on_change is not None:
            self.on_change(key)
        return Outcome(None, NOT_THERE if there is None else DONE, 0.0)

    def _bury(self, key: str, version: int) -> None:
        self._ended.discard(key)  # or it would be visited twice, and cancel itself out in a digest
        self.tombstones.add(key, version, self._clock())

    def _note_ended(self, key: str, version: int) -> None:
        if not self.tombstones.version_of(key):
            self._ended.add(key, version, self._clock())

    def remember_ended(self) -> None:
        """From now on: of what several nodes hold, one may have missed the last value, and come back with an older one when that has ended."""
        self._store.on_ended = self._note_ended

    # -- versions and copies ---------------------------------------------------------------------------------------

    def version_of(self, key: str) -> int:
        """The newest that is known here of ``key``, a delete included; 0 for nothing."""
        return max(self._store.version_of(key), self._gone_at(key))

    def _newest_of(self, key: str) -> int:
        """The same, or of what somebody has missed, or of the last clear: nothing older may come."""
        return max(self.version_of(key), self._missed.version_of(key), self._cleared)

    def _gone_at(self, key: str) -> int:
        return max(self.tombstones.version_of(key), self._ended.version_of(key))

    def gone(self, start: int, limit: int) -> list[str]:
        """The next ``limit`` keys of those that were deleted or have ended, from that one on."""
        deleted = len(self.tombstones)
        if start < deleted:
            return self.tombstones.part(start, min(limit, deleted - start))
        return self._ended.part(start - deleted, limit)

    def _next_version(self, key: str) -> int:
        self._versions.seen(self._newest_of(key))
        return self._versions.next()

    def keep_loaded(self, key: str, held: Held, expires_at_s: float, version: int) -> bool:
        """Store what a loader brought, unless something newer than the load's beginning is here. ``version`` 0: it gives way to whatever was
        written elsewhere, and is newer only than what is known here.
        """
        newest = self._newest_of(key)
        version = version or newest + 1
        return version > newest and self._set(key, held, expires_at_s, version)

    def copy_of(self, key: str) -> Change | None:
        """What is to be sent to who holds a copy of ``key``: a value, or that it was deleted. None: nothing is known of it that others need."""
        now_s = self._clock()
        entry = self._store.peek(key, now_s)
        if entry is None or entry[0] is ABSENT:
            version = self._gone_at(key)
            return Change(COPY, key, None, FOREVER, version, flags=GONE_FLAG) if version else None
        held, expires_at_s, version = entry
        mark = Marked(held) if isinstance(held, bytes) else read_mark(held)
        if mark.tags and self._tagging.ends(key, mark):
            return self.copy_of(key)
        return Change(
            COPY, key, mark.value, _left_ms(expires_at_s, now_s, 1), version,
            stale_ms=_left_ms(mark.stale_until_s, now_s), took_ms=int(mark.took_s * 1000),
            fresh_ms=_left_ms(mark.fresh_until_s, now_s), flags=NONE_FLAG * (mark.value is None), tags=mark.tags, stamp=mark.stamp,
        )  # fmt: skip

    def take_copy(self, copy: Change) -> Outcome:
        """A copy that another node sent. `DONE`: it is held here now; `KEPT`: what is here is as new or newer, by the version in the token."""
        key, version, now_s = copy.key, copy.token, self._clock()
        if not self.wants(key, version) and not self._wins_tie(copy):
            if not self._versions.is_believable(version):
                ahead_h = -self._versions.age_s(version) / 3600
                return failure(
                    RequestError(f"a copy whose version is {ahead_h:.0f} h ahead of this node's clock is not taken")
                )
            return Outcome(None, KEPT, 0.0, None, self._newest_of(key))
        self._versions.seen(version)
        if copy.flags & GONE_FLAG:
            self._store.delete(key, now_s)
            self._bury(key, version)
            if self.on_change is not None:
                self.on_change(key)
            return Outcome(None, DONE, 0.0, None, version)
        held = marked(
            Marked(
                None if copy.flags & NONE_FLAG else copy.value,
                _at_s(copy.fresh_ms, now_s),
                _at_s(copy.stale_ms, now_s) if copy.stale_ms else 0.0,
                copy.took_ms / 1000,
                copy.tags,
                copy.stamp,
            )
        )
        if not self._set(key, held, _at_s(copy.ttl_ms, now_s), version):
            return self._too_large(held)
        return Outcome(None, DONE, 0.0, None, version)

    def wants(self, key: str, version: int) -> bool:
        """Whether a copy of that version would be taken."""
        return (
            version > self._cleared
            and version > self.version_of(key)
            and version >= self._missed.version_of(key)
            and self._versions.is_believable(version)
        )

    def _wins_tie(self, copy: Change) -> bool:
        mine = self.copy_of(copy.key) if copy.token == self.version_of(copy.key) else None
        return mine is not None and newer(copy.token, copy.value, mine.token, mine.value) and mine.value != copy.value

    def renewed(self, copy: Change, seen: int) -> Change | None:
        """A holder knows of a newer version than that of ``copy``, which was written after it all the same: the same at a version beyond that.
        None: something else stands here by now.
        """
        self._versions.seen(seen)
        key = copy.key
        if self.version_of(key) != copy.token:
            return None
        version = self._versions.next()
        entry = self._store.peek(key, self._clock())
        if entry is not None and entry[2] == copy.token:
            self._store.set(key, entry[0], entry[1], self._clock(), version)
        elif not copy.flags & GONE_FLAG:
            return None  # it has ended
        if self.tombstones.version_of(key) == copy.token:
            self.tombstones.add(key, version, self._clock())
        return copy._replace(token=version)

    def remember(self, copy: Change) -> None:
        """Somebody who is to hold this has missed it, and may come back with something older: which is not to be taken even when this has ended."""
        if self.version_of(copy.key) == copy.token:
            self._missed.add(copy.key, copy.token, self._clock())

    def clear(self, version: int) -> None:
        """The group is emptied: what comes from elsewhere, and is no newer than that, is not taken."""
        self._cleared = max(self._cleared, version)
        for gone in (self.tombstones, self._ended, self._missed):
            gone.clear(version)

    def _incr(self, change: Change, there: Marked | None) -> Outcome:
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
            old = there.value
            if old is None or not old.isascii() or len(old) > _INT_DIGITS or not old.strip(b"-").isdigit():
                return failure(InvalidValue("what is there is not an ASCII integer"))
            try:
                value, expires_at_s = b"%d" % (int(old) + delta), there.fresh_until_s
            except ValueError:
                return failure(InvalidValue("what is there is not an ASCII integer"))
        if there is None or expires_at_s is None:
            kept = self._store_value(value, change)
            return kept if kept.error else Outcome(value, FROM_OWNER, kept.expires_at_s)
        held = marked(Marked(value, tags=there.tags, stamp=there.stamp))
        self._set(change.key, held, expires_at_s, self._next_version(change.key))
        return Outcome(value, FROM_OWNER, expires_at_s)


def _left_ms(until_s: float, now_s: float, least: int = 0) -> int:
    return FOREVER if until_s == math.inf else max(least, math.ceil((until_s - now_s) * 1000))


def _between_ms(from_s: float, until_s: float) -> int:
    return round(min(max(0.0, (until_s - from_s) * 1000), MAX_TTL_MS))


def _at_s(left_ms: int, now_s: float) -> float:
    return math.inf if left_ms == FOREVER else now_s + left_ms / 1000
