"""What the calls of a client and of an embedded node have in common: their defaults, their arguments, and what a fetch returns.

A duration is given as seconds, as text in the units of the configs (`zmcache.core.units`), or as a timedelta; which of them may be zero
or None is each argument's own to say. Numbers are looked at first: they are the usual case, and on the way of every call.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import timedelta
from enum import Enum
from typing import Final, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from zmcache.core.units import MAX_DURATION_S, found, parse_duration
from zmcache.core.wire import DUE, FOREVER, FROM_HOT, FROM_LOADER, FROM_OWNER, IS_NONE, MAX_TTL_MS, STALE, TTL_DEFAULT
from zmcache.errors import InvalidKey, InvalidTtl, RequestError

# Long enough for a load from a database that has a bad moment, short enough that no caller hangs for ever by default.
DEFAULT_TIMEOUT_S: Final = 3.0


class Unset(Enum):
    """The type of an argument that was left out, where None means something."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET
Duration: TypeAlias = float | str | timedelta
Ttl: TypeAlias = Duration | Literal[Unset.UNSET] | None

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
    """A ``ttl=`` argument as it stands in a frame. Raises `InvalidTtl` unless it is None, left out, or above zero and finite."""
    if ttl is UNSET:
        return TTL_DEFAULT
    if ttl is None:
        return FOREVER
    seconds = _seconds_in(ttl)
    if seconds is None:
        raise InvalidTtl(
            f"an expiry is a number of seconds, text such as '1h30m', a timedelta or None (never), not {_told(ttl)}"
        )
    # Comparisons alone: a whole number may be too large for every other operation.
    if not 0 < seconds <= MAX_TTL_MS / 1000:
        raise InvalidTtl(f"an expiry is above zero and at most a hundred years (None: never), not {_told(ttl)}")
    return math.ceil(seconds * 1000)


def check_timeout(timeout: Duration) -> float:
    """A ``timeout=`` argument in seconds. Raises `RequestError` unless it is a duration above zero, a year at most."""
    seconds = _seconds_in(timeout)
    if seconds is None or not 0 < seconds <= MAX_TIMEOUT_S:
        raise RequestError(
            f"a timeout is a number of seconds, or text such as '50ms', above zero, a year at most, not {_told(timeout)}"
        )
    return float(seconds)


def seconds_of(value: Duration, what: str) -> float:
    """Any other duration that a caller gives, in seconds. ``what`` begins the error's text: ``a lease``.

    Raises `RequestError` unless it is above zero and at most a hundred years.
    """
    seconds = _seconds_in(value)
    if seconds is None or not 0 < seconds <= MAX_DURATION_S:
        raise RequestError(
            f"{what} is a number of seconds, text such as '1h30m' or a timedelta, above zero, not {_told(value)}"
        )
    return float(seconds)


def is_zero(value: object) -> bool:
    """Whether it is a duration of no length, in whichever way it is spelled."""
    return _seconds_in(value) == 0


def many_keys(keys: Iterable[str]) -> list[str]:
    """The keys of a call that takes many, not yet checked one by one. Raises `InvalidKey` for one text, which would be asked for by its letters."""
    if isinstance(keys, (str, bytes)) or not isinstance(keys, Iterable):
        raise InvalidKey(f"many keys are a list of text or the like, not {type(keys).__name__}")
    return list(keys)


def _seconds_in(value: object) -> float | None:
    """The number a duration comes to, not yet held against any bound; None where it is no duration at all."""
    if isinstance(value, (int, float)):
        return None if isinstance(value, bool) else value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if not isinstance(value, str):
        return None
    try:
        return parse_duration(value)
    except ValueError:
        return None


def _told(value: object) -> str:
    """What was given, in one short line."""
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, str) or value is None:
        return found(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return type(value).__name__
    # Python itself refuses to write the digits of the largest.
    return "that many" if isinstance(value, int) and abs(value) >= 10**20 else repr(value)
