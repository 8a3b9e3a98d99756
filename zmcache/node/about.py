"""What a node tells about itself and the ring, as frames that whoever asked can read: never more rows or bytes than a message may have.

Figures can be cut, and then say how many were left out: the node's own come first, then those of whole groups and of whole peers, as
many as fit. A topology cannot: a ring of some of the members would give keys to nodes that do not own them, and never be the cluster's.
Where it does not fit the answer is an error that says which limit to raise.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from zmcache.core import wire
from zmcache.core.numbers import MAX_ROWS
from zmcache.core.ring import Epoch, Ring
from zmcache.errors import MeshError

LEFT_OUT: Final = "figures.left_out"
"""The name of the figure that says how many others there are, where an answer had no room for them."""
# Besides its rows: a header without its text, and the lengths of two arrays.
_HEADER_BYTES: Final = 128
# A number takes 9 bytes, the length of a name up to 5.
_ROW_BYTES: Final = 14


def members_frame(request_id: int, ring: Ring, copies: Mapping[str, int], limits: wire.Limits) -> bytes:
    """The answer to TOPOLOGY: MEMBERS, or a REFUSAL where they are more than a message holds. ``copies``: of the groups that have any."""
    members = ring.members
    frame = wire.encode(
        wire.Members(
            *wire.header(wire.MEMBERS, request_id, ring.epoch),
            [m.node_id for m in members],
            [m.endpoint for m in members],
            [m.weight for m in members],
            [m.zone for m in members],
            [m.state for m in members],
            list(copies) or None,
            list(copies.values()) or None,
        )
    )
    if len(frame) <= limits.message_bytes:
        return frame
    reason = f"the topology of {len(members)} members takes {len(frame)} bytes, limit {limits.message_bytes}: raise limits.message"
    return wire.encode(
        wire.Refusal(*wire.header(wire.REFUSAL, request_id, ring.epoch), MeshError.code, reason),
    )


def figures_frame(
    request_id: int, epoch: Epoch, node_id: str, blocks: Iterable[Mapping[str, float]], limits: wire.Limits
) -> bytes:
    """The answer to STATS. Of the ``blocks`` of figures each goes whole or not at all, the first one always."""
    told: dict[str, float] = {}
    left_out = 0
    room = limits.message_bytes - _HEADER_BYTES - len(node_id.encode()) - _row_bytes(LEFT_OUT)
    for block in blocks:
        size = sum(map(_row_bytes, block))
        if not told or (size <= room and len(told) + len(block) < MAX_ROWS):
            room -= size
            told |= block
        else:
            left_out += len(block)
    if left_out:
        told[LEFT_OUT] = left_out
    header = wire.header(wire.FIGURES, request_id, epoch, group=node_id)
    return wire.encode(wire.Figures(*header, list(told), list(told.values())))


def _row_bytes(name: str) -> int:
    return len(name.encode()) + _ROW_BYTES
