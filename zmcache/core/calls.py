"""What the calls of a client and of an embedded node have in common: their defaults, their arguments, and what a fetch returns."""

from __future__ import annotations

import math
from datetime import timedelta
from enum import Enum
from typing import Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from zmcache.core.units import parse_duration
from zmcache.core.wire import DUE, FOREVER, FROM_HOT, FROM_LOADER, FROM_OWNER, IS_NONE, MAX_TTL_MS, STALE, TTL_DEFAULT
from zmcache.errors import InvalidTtl, RequestError

# Long enough for a load from a database that has a bad moment, short enough that no caller hangs for ever by default.
DEFAULT_TIMEOUT_S: Final = 3.0


class Unset(Enum):
    """The type of an argument that was left out, where None means something."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
Ttl: TypeAlias = float | str | timedelta | Literal[Unset.UNSET] | None

SOURCES: Final = {
    FROM_OWNER: "owner",
    FROM_HOT: "hot",
    FROM_LOADER: "load",
    IS_NONE: "owner",
    STALE: "stale",
    DUE: "stale",
}

V = TypeVar("V")


class Item(NamedTuple, Generic[V]):
    """A value and what is known of it.

    ``ttl_s`` is what remains of its life (None: it does not expire). ``source`` says who had it: ``"hot"`` (a copy on the
    node that was asked), ``"owner"`` (the owner's memory), ``"load"`` (it was loaded for this call or one at the same time), ``"fill"``
    (the caller's own function made it, for this call or one at the same time) or ``"stale"`` (it is past its life, and being made anew).
    """

    value: V
    ttl_s: float | None
    source: str


MAX_TIMEOUT_S: Final = 365 * 86400.0
"""Longer than anybody waits, and short enough for every clock and timer on the way."""


def ttl_to_ms(ttl: Ttl) -> int:
    """A ``ttl=`` argument as it stands in a frame: seconds, text such as "1h30m", a timedelta. Raises `InvalidTtl` unless it is None, left out,
    or above zero and finite.
    """
    if ttl is UNSET:
        return TTL_DEFAULT
    if ttl is None:
        return FOREVER
    try:
        seconds = _in_seconds(ttl)
    except ValueError as exc:
        raise InvalidTtl(str(exc)) from None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)):
        raise InvalidTtl(f"an expiry is a number of seconds, a timedelta or None, not {type(ttl).__name__}")
    # Comparisons alone: a whole number may be too large for every other operation.
    if not 0 < seconds <= MAX_TTL_MS / 1000:
        raise InvalidTtl(
            f"an expiry of {_told(seconds)} s; it must be above zero and at most a hundred years (None: never)"
        )
    return math.ceil(seconds * 1000)


def seconds_of(value: float | str | timedelta, what: str) -> float:
    """Another duration that a caller gives, ``what=``. Raises `RequestError` unless it is above zero and finite."""
    try:
        seconds = _in_seconds(value)
    except ValueError as exc:
        raise RequestError(f"{what}: {exc}") from None
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= MAX_TTL_MS / 1000:
        raise RequestError(
            f"{what} is a number of seconds above zero, text such as '1h30m' or a timedelta, not {_told(value)}"
        )
    return seconds


def _in_seconds(value: float | str | timedelta) -> float:
    if isinstance(value, str):
        return parse_duration(value)
    return value.total_seconds() if isinstance(value, timedelta) else value


def check_timeout(timeout: float) -> float:
    """Return a ``timeout=`` argument. Raises `RequestError` unless it is a number of seconds above zero, a year at most."""
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= MAX_TIMEOUT_S:
        raise RequestError(f"a timeout is a finite number of seconds above zero, a year at most, not {_told(timeout)}")
    return timeout


def _told(value: object) -> str:
    """As text, unless it is a number whose digits nobody wants to read (or Python refuses to write)."""
    return "that many" if isinstance(value, int) and abs(value) >= 10**20 else repr(value)
