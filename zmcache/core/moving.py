"""Which requests change what is stored, and whether one that has ended did: a fence is for those, and for no others."""

from __future__ import annotations

from typing import Final

from zmcache.core.numbers import ADD, CAS, DELETE, INCR, KEPT, NO_SUCH_KEY, NOT_THERE, SET, TOUCH
from zmcache.errors import BackendError, RequestError

_ALWAYS: Final = frozenset({SET, DELETE})
_WHERE_IT_FITS: Final = frozenset({ADD, TOUCH, INCR, CAS})
_NOTHING_DONE: Final = frozenset({KEPT, NOT_THERE, NO_SUCH_KEY})


def moves(kind: int, status: int | None = None) -> bool:
    """Whether a change of this kind that was answered with ``status`` has stored or deleted something, or may have (None: no answer).

    A set and a delete always count: who deletes what is not there knows that what others are about to store of it is out of date.
    """
    if kind in _ALWAYS:
        return True
    if kind not in _WHERE_IT_FITS:
        return False
    return status is None or not (status in _NOTHING_DONE or RequestError.code <= status < BackendError.code)
