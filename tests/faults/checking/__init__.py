"""The checker: a record in, broken promises out. Pure: no file, no clock, no process; what it is given is in `faults.record`.

promises.py    what is promised in this run: R, W, how old a read may be, who may fail
history.py     one key's writes in order: which value a read may no longer find, which it must find
values.py      P1, P8, P9: no wrong value, none torn, none lost, none too old
calls.py       P2, P6, P7: every call ends in time, and those end well that must
loads.py       P3: how often a key is loaded

"""

from __future__ import annotations

from collections.abc import Iterator

from faults.checking.calls import check_calls, slowest_excess
from faults.checking.loads import check_loads
from faults.checking.promises import Promises, Violation
from faults.checking.values import check_values, lost_keys
from faults.record import Record

__all__ = ["Promises", "Violation", "check", "lost_keys", "slowest_excess"]


def check(record: Record, promises: Promises) -> list[Violation]:
    """All that was broken, in order of time, but for what this run is exempt from."""
    found = sorted(_found(record, promises), key=lambda violation: violation.at_s)
    return [violation for violation in found if violation.promise not in promises.exempt]


def _found(record: Record, promises: Promises) -> Iterator[Violation]:
    yield from check_values(record, promises)
    yield from check_calls(record, promises)
    yield from check_loads(record, promises)
