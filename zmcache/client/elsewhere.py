"""Where to ask next when a node is gone, or says that it does not serve: at the key's next owners, or, with ``route="any"``, at another of the
given nodes.

All there are may send askers on, perhaps to one another: then one of them is told that it is the last to be asked, and does what it can.
"""

from __future__ import annotations

from typing import Final

from zmcache.client.route import Route
from zmcache.core.wire import FORWARDED, LAST
from zmcache.errors import PeerUnavailable, ZmcacheError
from zmcache.peers.batch import Batch
from zmcache.peers.channel import Channel
from zmcache.peers.mesh import ATTEMPTS

_REFUSALS: Final = 8


class Elsewhere:
    """For the keys of one batch that failed: batches like it to other nodes, opened as they are needed."""

    __slots__ = ("_again", "_failed", "_flags", "_left", "_refused", "_route")

    def __init__(self, failed: Batch, error: ZmcacheError, route: Route, flags: int) -> None:
        """``flags`` are those of what is asked again."""
        unreachable = isinstance(error, PeerUnavailable)
        self._failed, self._route, self._flags = failed, route, flags
        self._refused = unreachable and failed.channel.usable
        if self._refused:
            route.refused(failed.channel)
        # A node that says itself that it does not serve has cost no more than the way to it.
        self._left = unreachable * ((ATTEMPTS if failed.sent else _REFUSALS) - failed.attempt - 1)
        self._again: dict[tuple[Channel, int], Batch] = {}

    def batch(self, key: str) -> Batch | None:
        """The one that ``key`` is to be asked for in. None: not again, and the error stands."""
        if self._left <= 0:
            return None
        failed, flags = self._failed, self._flags
        channel = self._route.other_channel(key, failed.channel)
        if not failed.flags & LAST and (channel is None or (self._refused and self._left == 1)):
            flags, channel = flags | FORWARDED | LAST, self._route.last_resort(key) or channel
        if channel is None:
            return None
        batch = self._again.get((channel, flags))
        if batch is None or not batch.open:
            batch = self._again[channel, flags] = channel.open_batch(
                failed.consumer, failed.kind, failed.group, flags=flags, attempt=failed.attempt + 1
            )
            batch.trace = failed.trace
        return batch


def sent_on(channel: Channel, why: str) -> PeerUnavailable:
    """What a node means that answers keys with this error, for the reason that it gives: others may serve them."""
    return PeerUnavailable(f"{channel.name}: {why}", peer=channel.name)
