"""Which slots are due to expire, by the second: a wheel of buckets that costs the store nothing while it serves.

A slot stands in at most one bucket that matters. Its entry may be overwritten with another life as often as anyone likes: an earlier end adds the slot to
an earlier bucket, a later one leaves it where it is, to be moved on when the bucket comes up. So the wheel grows with the entries and
not with the sets. Buckets are arrays of slots; whether a slot that comes up has really expired is the store's to say.

(Sampling, redis's way, would spare the 8 bytes an entry, but lets an unlucky entry stay for long; a heap would cost a
logarithm at each set. A wheel gives memory back within a second or two of the end.)
"""

from __future__ import annotations

from array import array
from typing import Final

BUCKET_S: Final = 1.0
_PAGE: Final = array("I", bytes(4 * 4096))
_NEVER: Final = 0xFFFFFFFF


class ExpiryWheel:
    """Slots by the second in which they are due. Times are seconds of one monotonic clock."""

    __slots__ = ("_buckets", "_due", "_scheduled")

    def __init__(self) -> None:
        self._buckets: dict[int, array[int]] = {}
        self._scheduled = array("I", _PAGE)  # the bucket in which a slot stands; 0: in none
        self._due: array[int] = array("I")

    def schedule(self, slot: int, expires_at_s: float) -> None:
        """The slot's entry ends then."""
        scheduled = self._scheduled
        while slot >= len(scheduled):
            scheduled.extend(_PAGE)
        # One beyond, so that a bucket that is over holds only what has expired.
        bucket = min(int(expires_at_s / BUCKET_S) + 1, _NEVER)
        if scheduled[slot] and scheduled[slot] <= bucket:
            return
        scheduled[slot] = bucket
        slots = self._buckets.get(bucket)
        if slots is None:
            self._buckets[bucket] = array("I", (slot,))
        else:
            slots.append(slot)

    def due(self, now_s: float, limit: int) -> list[int]:
        """Take out at most ``limit`` slots whose bucket is over. Each is out of the wheel: schedule it again if it lives on."""
        current = int(now_s / BUCKET_S)
        taken: list[int] = []
        while len(taken) < limit:
            if not self._due:
                # Few buckets are filled at a time: as many as there are distinct seconds ahead.
                over = min((bucket for bucket in self._buckets if bucket <= current), default=None)
                if over is None:
                    break
                self._due = self._buckets.pop(over)
            part = self._due[-(limit - len(taken)) :]
            del self._due[-len(part) :]
            for slot in part:
                # A slot that was added again to an earlier bucket has come up there already.
                if 0 < self._scheduled[slot] <= current:
                    self._scheduled[slot] = 0
                    taken.append(slot)
        return taken

    def __len__(self) -> int:
        return len(self._due) + sum(map(len, self._buckets.values()))
