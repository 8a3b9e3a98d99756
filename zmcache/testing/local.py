"""``mem://`` by a clock that a test can move: what `zmcache.connect("mem://")` returns, and `advance`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import msgspec

from zmcache.config import GroupConfig
from zmcache.core.calls import DEFAULT_TIMEOUT_S, Duration, check_timeout
from zmcache.core.settings import GroupSettings
from zmcache.inprocess import InProcess
from zmcache.testing.clock import Clock
from zmcache.testing.given import Batch, Groups, Loaders, make_loaders, read_groups, read_settings
from zmcache.testing.leftovers import Leftovers


class LocalCache(InProcess):
    """A cache in this process whose clock can be moved; made by `local`."""

    clock: Clock
    _leftovers: Leftovers | None = None

    def advance(self, by: float | str) -> None:
        """Move what entries end by; see `Clock.advance`."""
        self.clock.advance(by)

    async def open(self) -> Self:
        """See `Cache.open`."""
        self._leftovers = Leftovers()
        return await super().open()

    async def __aexit__(self, *exc_info: object) -> None:
        """Close. Raises `LifecycleError` where a task was left behind."""
        await super().__aexit__(*exc_info)
        if self._leftovers is not None and not any(exc_info):
            await self._leftovers.check()


def local(
    *,
    groups: Groups = None,
    loaders: Loaders = None,
    batch: Batch = False,
    timeout: Duration = DEFAULT_TIMEOUT_S,
    on_error: str = "raise",
    **settings: Any,
) -> LocalCache:
    """``mem://`` for tests: ``async with zmcache.testing.local(ttl="1h") as cache: ...; cache.advance("1h")``.

    ``settings`` are those of every group that ``groups`` gives no settings for; any other argument is as for `Cluster`, or as for
    `zmcache.connect`. A group that nothing names is there all the same, as it is with ``mem://``. Raises `ConfigError`.
    """
    every = read_settings(settings)
    own = {name for name, given in groups.items() if given is not None} if isinstance(groups, Mapping) else set()
    read = read_groups(groups, loaders) if groups or loaders else {}
    named = {name: config if name in own else every for name, config in read.items()}
    clock = Clock()
    cache = LocalCache(
        settings=_core(every),
        groups={name: _core(config) for name, config in named.items()},
        loaders=make_loaders(loaders, batch, named),
        timeout=check_timeout(timeout),
        on_error=on_error,
        clock=clock,
    )
    cache.clock = clock
    clock.watch(cache.clock_moved)
    return cache


def _core(config: GroupConfig) -> GroupSettings:
    fields = (field.name for field in msgspec.structs.fields(GroupSettings))
    return GroupSettings(**{field: getattr(config, field) for field in fields})
