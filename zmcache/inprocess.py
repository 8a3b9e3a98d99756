"""``mem://``: a cache in this process, for tests and for programs that are not there yet. No node, no socket; the same calls.

Behind it are the groups that a node has, with this process as the owner of every key: so budgets, expiry, fills and all else are
the cluster's own, not an imitation. A group is made when it is first named, with the settings given to `in_process`.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from zmcache.cache import Cache, Topology
from zmcache.cache.raw import Raw
from zmcache.calls import Group
from zmcache.copying import NOBODY, Receivers
from zmcache.core.calls import DEFAULT_TIMEOUT_S, Duration, check_timeout
from zmcache.core.explained import HERE, Explanation, NodeExplanation
from zmcache.core.flight import Waiter, failure
from zmcache.core.ring import Member, Ring
from zmcache.core.settings import GroupSettings
from zmcache.core.tidying import TURN_S
from zmcache.core.wire import Change, Limits
from zmcache.deadlines import Deadlines
from zmcache.errors import PeerUnavailable
from zmcache.here import Here
from zmcache.loading import Loader

_TIDY_PAUSE_S: Final = 0.2
_MORE_PAUSE_S: Final = 0.001
_NAME: Final = "mem"
_MEMBERS: Final = (Member(_NAME, "mem://"),)


class Alone:
    """The `Peers` of a group that has none: every key is its own."""

    ring_token: object = None
    is_settled = True

    def is_ours(self, key: str) -> bool:
        """It is."""
        return True

    def stands_in(self, key: str) -> bool:
        """There is nobody to stand in for."""
        return False

    def holds(self, key: str, copies: int) -> bool:
        """It does."""
        return True

    def holder(self, copies: int) -> Callable[[str], bool]:
        """It does."""
        return lambda _: True

    def is_in_charge(self, key: str, copies: int) -> bool:
        """It is."""
        return True

    def reaches_holder(self, key: str, copies: int) -> bool:
        """It is this one."""
        return True

    def would_know(self, key: str, copies: int) -> bool:
        """It does."""
        return True

    def sees_all(self, key: str, copies: int) -> bool:
        """It does."""
        return True

    def receivers(self, key: str, copies: int) -> Receivers:
        """There is nobody to send anything to."""
        return NOBODY

    def copy(
        self,
        receiver: object,
        group: str,
        copy: Change,
        deadline_s: float,
        on_answer: Waiter,
        *,
        background: bool = False,
    ) -> None:
        """There is nobody to send anything to."""
        on_answer(failure(PeerUnavailable("there is no other node")))

    def ask_former(
        self, group: str, key: str, copies: int, window_s: float, deadline_s: float, on_answer: Waiter
    ) -> bool:
        """There was nobody."""
        return False

    def ask(
        self, group: str, key: str, deadline_s: float, on_answer: Waiter, trace: str | None, *, keeps: bool = False
    ) -> object:
        """There is nobody to ask."""
        on_answer(failure(PeerUnavailable("there is no other node")))
        return None

    def change(self, group: str, change: Change, deadline_s: float, on_answer: Waiter, trace: str | None) -> object:
        """There is nobody to ask."""
        on_answer(failure(PeerUnavailable("there is no other node")))
        return None

    async def explain(self, group: str, key: str, deadline_s: float) -> Explanation:
        """There is nobody else."""
        return Explanation(group=group, key=key, owners=(_NAME,), nodes=(NodeExplanation(node_id=_NAME, state=HERE),))

    def give_up(self, asked: object) -> None:
        """Nobody was asked."""


class InProcess(Cache):
    """See the module's docstring; made by `zmcache.connect`.

    ``settings``: of every group that ``groups`` does not name. ``clock``: seconds that only grow.
    """

    def __init__(
        self,
        *,
        settings: GroupSettings | None = None,
        groups: Mapping[str, GroupSettings] | None = None,
        loaders: Mapping[str, Loader] | None = None,
        limits: Limits | None = None,
        timeout: Duration = DEFAULT_TIMEOUT_S,
        on_error: str = "raise",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(on_error, limits or Limits(), check_timeout(timeout), clock)
        self._settings = settings or GroupSettings()
        self._groups_settings = dict(groups or {})
        self._loaders = dict(loaders or {})
        self._clock = clock
        self._made: dict[str, Group] = {}
        self._deadlines: Deadlines | None = None
        self._timer: Callable[[], None] = lambda: None

    def ring(self) -> Ring:
        """A ring of one."""
        self._check_open()
        return Ring.build(_MEMBERS, 0)

    async def topology(self, *, timeout: Duration | None = None) -> Topology:
        """Only this process, by the name ``mem``."""
        self._check_open()
        return Topology(0, _MEMBERS)

    async def statistics(self, *, timeout: Duration | None = None) -> dict[str, dict[str, float]]:
        """The counters of the groups that were named so far."""
        self._check_open()
        figures: dict[str, float] = {}
        for name, group in self._made.items():
            for field, value in msgspec.structs.asdict(group.statistics()).items():
                figures[f"group.{name}.{field}"] = value
        return {_NAME: figures}

    def clock_moved(self) -> None:
        """For tests: the clock that it was given has jumped ahead."""
        for group in self._made.values():
            group.clock_moved()

    async def _open(self) -> None:
        assert self._loop is not None
        self._deadlines = Deadlines(self._loop)
        self._tidy()

    async def _close(self) -> None:
        self._timer()
        made, self._made = self._made, {}
        for group in made.values():
            await group.aclose()
        for name, loader in self._loaders.items():
            if name not in made:  # a group closes its own
                await loader.aclose()
        if self._deadlines is not None:
            self._deadlines.close()

    def _make_raw(self, name: str) -> Raw:
        assert self._deadlines is not None
        group = self._made[name] = Group(
            name,
            self._groups_settings.get(name, self._settings),
            self._limits,
            Alone(),
            self._deadlines,
            loader=self._loaders.get(name),
            random=random.random,
            clock=self._clock,
        )
        return Here(group, self._clear, self._invalidate, self._timeout_s)

    async def _clear(self, name: str, timeout: Duration | None) -> None:
        await self._made[name].cleared(self._timeout_s if timeout is None else check_timeout(timeout))

    async def _invalidate(self, name: str, tags: Sequence[str], timeout: Duration | None) -> None:
        group = self._made[name]
        group.tags.hear(tags, [group.tags.moment()] * len(tags))

    def _tidy(self) -> None:
        assert self._loop is not None
        more = False
        for group in self._made.values():
            more = group.tidy(self._clock() + TURN_S) or more
        self._timer = self._loop.call_later(_MORE_PAUSE_S if more else _TIDY_PAUSE_S, self._tidy).cancel
