"""When a simulated cluster is *calm*: nothing is wrong, all have the same ring, and every connection in use is whole.

It is looked at every tenth of a second, and ends at once with whatever goes wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from history_record import RINGS, Disturbance

from zmcache.peers.channel import State
from zmcache.peers.mesh import Mesh

if TYPE_CHECKING:
    from simulated_cluster import SimulatedCluster

LOOK_S: Final = 0.1
_QUIET: Final = (State.UP, State.NEW)


class Calm:
    """Writes down when it was calm in the cluster's history."""

    def __init__(self, cluster: SimulatedCluster) -> None:
        self._cluster, self._world = cluster, cluster.world
        self._since_s: float | None = None
        self._last_look_s = self._trusted_from_s = 0.0
        self._looking = True
        self._world.after(LOOK_S, self._look)

    def __bool__(self) -> bool:
        return self._since_s is not None

    @property
    def for_s(self) -> float:
        """How long it has been calm."""
        return 0.0 if self._since_s is None else self._world.now - self._since_s

    def end(self, at_s: float | None = None) -> None:
        """It is calm no more: now, or from that time on."""
        if self._since_s is not None:
            self._cluster.history.calm.append((self._since_s, self._world.now if at_s is None else at_s))
            self._since_s = None

    def distrust(self, for_s: float) -> None:
        """Whatever it looks like, it is not calm so soon."""
        self._trusted_from_s = self._world.now + for_s

    def stop_looking(self) -> None:
        """What comes now is the end."""
        self._looking = False

    def _look(self) -> None:
        if not self._looking:
            return
        self._world.after(LOOK_S, self._look)
        if self._is_calm_now():
            if self._since_s is None:
                self._since_s = self._world.now
                self._cluster.history.serving[self._since_s] = sum(p.alive for p in self._cluster.nodes.values())
            self._last_look_s = self._world.now
        elif self._since_s is not None:
            # It has changed by itself: since the last look at the latest.
            self._cluster.history.disturbances.append(Disturbance(RINGS, self._last_look_s))
            self.end(self._last_look_s)

    def _is_calm_now(self) -> bool:
        cluster = self._cluster
        if not cluster.network.is_whole or not cluster.mood.is_well or self._world.now < self._trusted_from_s:
            return False
        alive = [process for process in cluster.nodes.values() if process.alive]
        if not alive or any(not process.serving for process in cluster.clients):
            return False
        if any(
            process.loop.stopped or not process.serving or process.leaving for process in (*alive, *cluster.clients)
        ):
            return False
        ring = alive[0].node.ring()  # type: ignore[union-attr]
        if {member.node_id for member in ring.members if member.state == "serving"} != {
            process.name for process in alive
        }:
            return False
        nodes = [process.node._parts.mesh for process in alive]  # type: ignore[union-attr]
        clients = [process.client._mesh for process in cluster.clients]  # type: ignore[union-attr]
        return (
            len(ring.members) == len(alive)
            # Not the revision: when etcd has lost its data each node counts on from its own.
            and all(mesh is not None and mesh.ring.epoch.digest == ring.epoch.digest for mesh in (*nodes, *clients))
            and all(channel.state in _QUIET for mesh in (*nodes, *clients) for channel in mesh.used)  # type: ignore[union-attr]
            and all(_reaches(mesh, member.endpoint) for mesh in clients for member in ring.members)  # type: ignore[arg-type]
        )


def _reaches(client: Mesh, address: str) -> bool:
    """By that address, too, where it was given it, besides that of the ring."""
    given = client._extra.get(address)
    return given is None or given.state in _QUIET
