"""How a value is to be made and kept, as a caller says it: checked once, so that a decorated function pays for it once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from zmcache.core.calls import UNSET, Duration, Ttl, Unset, check_timeout, is_zero, seconds_of, ttl_to_ms
from zmcache.core.tags import joined_tags
from zmcache.core.wire import MAX_TTL_MS

DEFAULT_LEASE_S: Final = 10.0
MAX_LEASE_S: Final = 3600.0


class Making(NamedTuple):
    """Times in ms. ``none_ttl_ms``: the life of a None, 0: it is not kept. ``condition``: whether a value is kept at all (None: every one).
    ``tags``: those of the value, as one text.
    """

    ttl_ms: int
    none_ttl_ms: int | None
    stale_ms: int
    error_ms: int
    lease_ms: int
    condition: Callable[[Any], object] | None
    timeout: float | None
    tags: str = ""


def making(
    *,
    ttl: Ttl = UNSET,
    stale_ttl: Duration | None = None,
    stale_if_error: Duration | None = None,
    negative_ttl: Ttl | Unset = UNSET,
    lease: Duration = DEFAULT_LEASE_S,
    condition: Callable[[Any], object] | None = None,
    timeout: Duration | None = None,
    tags: Iterable[str] = (),
) -> Making:
    """From the arguments of `get_or_set` and `cached`. Raises `InvalidTtl`, `InvalidTag` or `RequestError`."""
    none_ttl_ms = None
    if negative_ttl is not UNSET:
        none_ttl_ms = 0 if is_zero(negative_ttl) else ttl_to_ms(negative_ttl)
    return Making(
        ttl_to_ms(ttl),
        none_ttl_ms,
        _ms(stale_ttl, "stale_ttl"),
        _ms(stale_if_error, "stale_if_error"),
        max(1, int(min(seconds_of(lease, "lease"), MAX_LEASE_S) * 1000)),
        condition,
        None if timeout is None else check_timeout(timeout),
        joined_tags(tags),
    )


def _ms(value: Duration | None, what: str) -> int:
    return 0 if value is None else max(1, min(MAX_TTL_MS, int(seconds_of(value, what) * 1000)))
