"""A node's counters under the flat names in which they travel: ``requests``, ``group.items.hits``, ``peer.b.state``.

Everything is a number, so that a STATS answer is two parallel arrays; a peer's state is 1 when it is in use, else 0: down, suspected, or on trial
after that. Its ``slow`` is 1 while reads avoid it, and its round trip is 0 until one was measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from zmcache.group import LocalGroup
from zmcache.node.dispatch import Dispatcher
from zmcache.node.membership import Membership
from zmcache.peers.mesh import Mesh


def figures_of(
    dispatcher: Dispatcher,
    mesh: Mesh,
    membership: Membership,
    groups: Mapping[str, LocalGroup],
    copies_short: Mapping[str, int],
    node_id: str,
) -> Iterator[dict[str, float]]:
    """All of a node's counters by name, in blocks of what belongs together: the node's own, then those of each group, then of each peer.

    ``copies_short``, by group: see `zmcache.node.short`.
    """
    ring = mesh.ring
    yield {
        **dispatcher.statistics(),
        "peers": len(mesh.states()),
        "peers.in_use": len(mesh.states()) - sum(not channel.usable for channel in mesh.used),
        "peers.slow": sum(channel.health.latency.slow for channel in mesh.used),
        "ring.members": len(ring.members),
        "ring.revision": ring.epoch.revision,
        "ring.built": membership.rings_built,
        "ring.held": membership.held,
        "ring.share": ring.share().get(node_id, 0.0),
    }
    for name, group in groups.items():
        figures = {
            f"group.{name}.{field}": value for field, value in msgspec.structs.asdict(group.statistics()).items()
        }
        yield figures | {f"group.{name}.copies_short": copies_short.get(name, 0)}
    for channel in mesh.used:
        yield {
            f"peer.{channel.name}.state": float(channel.usable),
            f"peer.{channel.name}.rtt_ms": round(1000 * (channel.health.latency.rtt_s or 0.0), 3),
            f"peer.{channel.name}.slow": float(channel.health.latency.slow),
            f"peer.{channel.name}.suspicions": channel.health.suspicions,
            f"peer.{channel.name}.inflight": channel.inflight,
            f"peer.{channel.name}.failures": channel.failures,
        }
