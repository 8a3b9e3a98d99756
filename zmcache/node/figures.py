"""A node's counters under the flat names in which they travel: ``requests``, ``group.items.hits``, ``peer.b.state``.

Everything is a number, so that a STATS answer is two parallel arrays; a peer's state is 1 when it is in use, else 0: down, suspected, or on trial
after that. Its ``slow`` is 1 while reads avoid it, and its round trip is 0 until one was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from zmcache.node.parts import Parts  # one of which tells them


def figures_of(node: Parts) -> Iterator[dict[str, float]]:
    """All of a node's counters by name, in blocks of what belongs together: the node's own, then those of each group, then of each peer.

    ``requests`` are keys asked for by clients, ``forwarded`` those that peers passed on; ``copies_short`` of a group: see `zmcache.node.short`.
    """
    mesh, dispatcher = node.mesh, node.dispatcher
    ring = mesh.ring
    yield {
        "uptime_s": round(mesh.clock() - node.began_s, 3),
        "lease_losses": node.reactions.lease_losses,
        "standstills": node.reactions.standstills,
        "handed_over": float(node.presence.handed_over),
        "doubting": float(not node.doubt.is_over),
        "tags.doubting": float(node.repairing.in_doubt),
        "tags.repaired": float(node.repairing.repaired),
        **dispatcher.statistics(),
        "peers": len(mesh.states()),
        "peers.in_use": len(mesh.states()) - sum(not channel.usable for channel in mesh.used),
        "peers.slow": sum(channel.health.latency.slow for channel in mesh.used),
        "ring.members": len(ring.members),
        "ring.revision": ring.epoch.revision,
        "ring.built": node.membership.rings_built,
        "ring.held": node.membership.held,
        "ring.share": ring.share().get(node.presence.member.node_id, 0.0),
        **node.handover.statistics(),
    }
    for name, group in node.groups.items():
        figures = {
            f"group.{name}.{field}": value for field, value in msgspec.structs.asdict(group.statistics()).items()
        }
        yield figures | {f"group.{name}.copies_short": node.shortage.counts[name]}
    for channel in mesh.used:
        yield {
            f"peer.{channel.name}.state": float(channel.usable),
            f"peer.{channel.name}.rtt_ms": round(1000 * (channel.health.latency.rtt_s or 0.0), 3),
            f"peer.{channel.name}.slow": float(channel.health.latency.slow),
            f"peer.{channel.name}.suspicions": channel.health.suspicions,
            f"peer.{channel.name}.inflight": channel.inflight,
            f"peer.{channel.name}.failures": channel.failures,
        }
