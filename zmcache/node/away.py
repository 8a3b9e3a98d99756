"""A node that can reach none of the others: they stand in for it, and what it says would be of before that.

So it sends who asks on to them, as far as the group has copies, until it can reach them again and has been handed over what it missed. It invents no
quorum: it only takes it for likelier that it is away itself than that several others are. Who has nobody else to ask says so (`LAST`), and is
answered.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Final

from zmcache.core.ring import SERVING
from zmcache.node.doubt import Doubt
from zmcache.peers.mesh import Mesh

_log = logging.getLogger("zmcache.node")
_ALL_BACK_S: Final = (
    4.0  # by then whoever is back has been found to be: connections are tried again at growing intervals
)


class Away:
    """``on_back`` is to begin the doubt, when the others can be reached again; ``within_s`` later the node serves whether that is over or not."""

    def __init__(
        self, mesh: Mesh, doubt: Doubt, on_back: Callable[[], None], *, within_s: float, clock: Callable[[], float]
    ) -> None:
        self._mesh = mesh
        self._doubt = doubt
        self._on_back = on_back
        self._within_s = within_s
        self._clock = clock
        self._back_s = math.inf  # when it could reach somebody again
        self._asked_s = math.inf  # when it began to doubt

    @property
    def is_away(self) -> bool:
        """Whether the others are to be asked."""
        return self._mesh.was_cut_off

    def look(self) -> None:
        """To be called a few times a second."""
        now_s = self._clock()
        if self._mesh.is_cut_off:
            self._back_s = self._asked_s = math.inf
        elif not self._mesh.was_cut_off:
            return
        elif self._asked_s < math.inf:
            if self._doubt.is_over or now_s - self._asked_s > self._within_s:
                self._mesh.was_cut_off = False
                self._back_s = self._asked_s = math.inf
                _log.info("this node serves again")
        elif self._back_s == math.inf:
            self._back_s = now_s
        elif self._reaches_all() or now_s - self._back_s > _ALL_BACK_S:
            self._asked_s = now_s
            self._on_back()

    def _reaches_all(self) -> bool:
        members = self._mesh.ring.members
        others = [self._mesh.channel_of(member.node_id) for member in members if member.state == SERVING]
        return all(channel.usable for channel in others if channel is not None)
