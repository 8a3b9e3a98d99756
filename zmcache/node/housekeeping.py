"""A node's regular work, and how a node notices that it stood still.

Every `PAUSE_S`, or sooner while there is more to do than one slice, the node sweeps. The same timer tells of standstills. A process that is
stopped, or swapped out, or whose loop is held up, answers no pings meanwhile; after a few of them its peers take it for dead, and who
stands in for it acknowledges sets and deletes in its place, long before its lease ends. Nobody tells it afterwards: its connections may
never have broken. What it can see is that its own timer came late.

Between two runs lies at least what the node stood still, and at most `PAUSE_S` more. So from `SUSPECTED_S` on, the shortest time after
which a peer can have given up on it, no standstill is missed, and one that was up to `PAUSE_S` shorter may be reported, too: that costs
some loads, a missed one costs an acknowledged write.

What was sent to the node before it stood still, and lay in its sockets, is older than what others acknowledged in its place. Its frames may
come before the timer does: so `look` is for whoever is about to write.

The clock has to run on while nothing else does. The wall clock can be set, and Linux's monotonic clock rests while the machine sleeps: so it is
the time since boot, where there is one. When a hypervisor stops a machine together with its clocks, only the lost lease tells.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from zmcache.core.tidying import TURN_S
from zmcache.node.away import Away
from zmcache.node.membership import Membership
from zmcache.peers.pulse import BEAT_S, MISSED_BEATS

PAUSE_S: Final = 0.2
_MORE_PAUSE_S: Final = 0.001  # between slices the loop serves, most of the time
# A peer counts from its first ping that is not answered, and that may be the moment in which the standstill begins.
SUSPECTED_S: Final = MISSED_BEATS * BEAT_S

_log = logging.getLogger("zmcache.node")


def time_since_boot_s() -> float:
    """Seconds of a clock that never stops or jumps, as far as the system has one."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic()


class Housekeeping:
    """Calls ``sweep`` again and again from `begin` until `close`; it returns whether there is more to do. ``on_standstill`` comes before it.

    ``clock`` is what standstills are measured by.
    """

    def __init__(
        self,
        sweep: Callable[[], bool],
        on_standstill: Callable[[], None],
        *,
        clock: Callable[[], float] = time_since_boot_s,
    ) -> None:
        self._sweep = sweep
        self._on_standstill = on_standstill
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._last_s = math.inf  # nothing is missed before it begins
        self._timer: asyncio.Handle | None = None

    def begin(self) -> None:
        """From now on."""
        self._last_s = self._clock()
        self._timer = self._loop.call_soon(self._run)

    def close(self) -> None:
        """Call nothing any more."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> None:
        """Tell now of a standstill that the next run would tell of."""
        now_s = self._clock()
        away_s = now_s - self._last_s
        if away_s >= SUSPECTED_S:
            self._last_s = now_s
            _log.warning("the loop stood still for %.1f s: others may have been written to meanwhile", away_s)
            self._on_standstill()

    def _run(self) -> None:
        # First of all that can fail: whatever happens here, the next run is due.
        self._timer = self._loop.call_later(PAUSE_S, self._run)
        self.look()
        self._last_s = self._clock()
        if self._sweep():
            self._timer.cancel()
            self._timer = self._loop.call_later(_MORE_PAUSE_S, self._run)


class Tidied(Protocol):
    """What has something to tidy; a group."""

    def tidy(self, until_s: float) -> bool:
        """Work until then, at most; whether there is more to do."""


class Sweep:
    """The work itself, a slice at each call: of the node's standing among others, and of ``groups`` in turn. ``clock``: that of the groups."""

    def __init__(
        self, away: Away, membership: Membership, groups: Mapping[str, Tidied], *, clock: Callable[[], float]
    ) -> None:
        self._away = away
        self._membership = membership
        self._groups = groups
        self._in_turn = itertools.cycle(groups.values())
        self._clock = clock

    def __call__(self) -> bool:
        """Whether there is more to do."""
        self._away.look()
        self._membership.check_held()
        until_s = self._clock() + TURN_S
        for _ in self._groups:
            # Whoever had no turn, or has more to do, is among the first next time.
            group = next(self._in_turn)
            if group.tidy(until_s) or self._clock() >= until_s:
                return True
        return False
