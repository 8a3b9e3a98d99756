"""The writes of one key in order: what a read that begins now may no longer find, and what it has to find.

A write is over when it was acknowledged. A write w replaces whatever was over when w began; what was under way then may come before it or
after. So a value is too old when some acknowledged write began after it was over. A write that failed may still be done at any
later time: it is never over.

Of all acknowledged writes up to some time the one that *began* last says the most: it replaces all that the others do.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable

from faults.record import CRASH, DELETE, OK, SET, Op, Outage


class History:
    """Of one key. ``writes``: its sets and deletes, in any order."""

    def __init__(self, writes: Iterable[Op]) -> None:
        ordered = sorted(writes, key=lambda op: op.ended_s)
        self.by_version = {op.version: op for op in ordered if op.kind == SET}
        self._all = _Newest([op for op in ordered if op.outcome == OK])
        self._sets = _Newest([op for op in ordered if op.outcome == OK and op.kind == SET])
        self._deletes = sorted((op for op in ordered if op.kind == DELETE), key=lambda op: op.began_s)
        self._deletes_over_s: list[float] = []  # the latest end among the first so many deletes by their begin
        latest_s = -math.inf
        for op in self._deletes:
            latest_s = max(latest_s, over_s(op))
            self._deletes_over_s.append(latest_s)

    def newest(self, until_s: float) -> Op | None:
        """Of the writes acknowledged by then, the one that began last."""
        return self._all.until(until_s)

    def newest_set(self, until_s: float) -> Op | None:
        """The same among the sets."""
        return self._sets.until(until_s)

    def may_be_deleted(self, write: Op, by_s: float) -> bool:
        """Whether a delete that had begun by then may have come after ``write``."""
        count = bisect_right(self._deletes, by_s, key=lambda op: op.began_s)
        return count > 0 and self._deletes_over_s[count - 1] >= write.began_s


class _Newest:
    def __init__(self, acknowledged: list[Op]) -> None:
        self._ends_s = [op.ended_s for op in acknowledged]
        self._newest: list[Op] = []
        for op in acknowledged:
            before = self._newest[-1] if self._newest else op
            self._newest.append(op if op.began_s >= before.began_s else before)

    def until(self, until_s: float) -> Op | None:
        count = bisect_right(self._ends_s, until_s)
        return self._newest[count - 1] if count else None


def over_s(write: Op) -> float:
    """From when on the write cannot take effect any more."""
    return write.ended_s if write.outcome == OK else math.inf


def survives(outages: list[Outage], acks: int, from_s: float, until_s: float, *, settle_s: float) -> bool:
    """Whether what was acknowledged has to be there still: at no time in between were ``acks`` nodes gone at once (P8).

    A crash before ``from_s`` took nothing of what was written later. A node that stood still, or was cut off, may lack it, and
    may be passed over for ``settle_s`` after it is back; in its place another one acknowledges what it keeps for a short time only.
    """
    outages = [o if o.kind == CRASH else o._replace(ended_s=o.ended_s + settle_s) for o in outages]
    felt = [
        outage for outage in outages
        if outage.began_s <= until_s and (outage.began_s if outage.kind == CRASH else outage.ended_s) >= from_s
    ]  # fmt: skip
    if len(felt) < acks:
        return True
    return max(len({o.node for o in felt if o.began_s <= one.began_s <= o.ended_s}) for one in felt) < acks
