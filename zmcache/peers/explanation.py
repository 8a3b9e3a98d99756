"""What all who are to hold a key know of it, asked at once, and how each of them looks from here."""

from __future__ import annotations

import asyncio
from functools import partial

from zmcache.core import wire
from zmcache.core.explained import HERE, Explanation, NodeExplanation, look_of, told
from zmcache.errors import ProtocolError, UnknownGroup, ZmcacheError
from zmcache.peers.channel import Channel, State
from zmcache.peers.mesh import Mesh


async def explanation_of(
    mesh: Mesh, group: str, key: str, deadline_s: float, *, self_id: str | None = None, also: Channel | None = None
) -> Explanation:
    """Ask the holders of ``key``, and whoever is behind ``also``. The node ``self_id`` stands among them as `HERE`, unasked.

    Raises `UnknownGroup` where all who answer say so. Who does not answer by ``deadline_s`` stands there with the reason.
    """
    owners = [member.node_id for member in mesh.ring.owners(key, mesh.copies.get(group, 1))]
    channels = {node_id: mesh.channel_of(node_id) for node_id in owners if node_id != self_id}
    if also is not None and also not in channels.values():
        channels[also.name] = also
    asked = {
        node_id: channel.query(wire.EXPLAIN, deadline_s, group, make=partial(_question, key))
        for node_id, channel in channels.items()
        if channel is not None
    }
    answers = dict(zip(asked, await asyncio.gather(*asked.values(), return_exceptions=True), strict=True))
    nodes: dict[str, NodeExplanation] = {}
    for node_id in dict.fromkeys([*owners, *asked, *([self_id] if self_id is not None else [])]):
        if node_id == self_id:
            nodes[node_id] = NodeExplanation(node_id=node_id, state=HERE)
        elif (channel := channels.get(node_id)) is not None:
            node = _node(channel, node_id, answers[node_id])
            # One that was asked by its address says by which name it is a member, and may have been asked by that as well.
            nodes.setdefault(node.node_id, node)
    errors = [answer for answer in answers.values() if isinstance(answer, ZmcacheError)]
    if errors and len(errors) == len(nodes) and all(isinstance(error, UnknownGroup) for error in errors):
        raise errors[0]
    return Explanation(group=group, key=key, owners=tuple(owners), nodes=tuple(nodes.values()))


def _question(key: str, header: wire.Header) -> wire.Message:
    return wire.Delete(*header, [key])


def _node(channel: Channel, node_id: str, answer: wire.Reply | BaseException) -> NodeExplanation:
    state = "slow" if channel.state is State.UP and not channel.preferred else channel.state.value
    if isinstance(answer, wire.Explained):
        epoch = channel.epoch
        same_ring = (answer.revision, answer.digest) == (epoch.revision, epoch.digest)
        return told(answer.group, state, look_of(answer), same_ring=same_ring)
    if not isinstance(answer, BaseException):
        answer = ProtocolError(f"asked to explain, got kind {answer.kind}")
    elif not isinstance(answer, ZmcacheError):
        raise answer
    return NodeExplanation(node_id=node_id, state=state, error=f"{type(answer).__name__}: {answer}")
