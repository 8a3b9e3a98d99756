"""What a node tells of itself can be read by whoever asks, however many groups and peers there are; what was cut is said to be."""

from __future__ import annotations

import pytest

from zmcache.core import wire
from zmcache.core.numbers import MAX_ROWS
from zmcache.core.ring import Epoch, Member, Ring
from zmcache.core.wire import Limits
from zmcache.errors import MeshError
from zmcache.node.about import LEFT_OUT, figures_frame, members_frame

SMALL = Limits(key_bytes=64, value_bytes=1024, message_bytes=8192)


def figures(groups: int, peers: int, limits: Limits) -> dict[str, float]:
    """What the asker reads of an answer about so many groups and peers."""
    blocks = [{"uptime_s": 1.5, "requests": 2**60}]
    blocks += [{f"group.items-{n}.{field}": 1.0 for field in ("hits", "loads", "entries")} for n in range(groups)]
    blocks += [{f"peer.node-{n}.{field}": n for field in ("state", "inflight", "failures")} for n in range(peers)]
    frame = figures_frame(7, Epoch(3, 4), "näme-" * 20, blocks, limits)
    answer = wire.decode(frame, limits)
    assert isinstance(answer, wire.Figures)
    assert (answer.request_id, answer.group) == (7, "näme-" * 20)
    return dict(zip(answer.names, answer.figures, strict=True))


def test_figures_of_a_thousand_peers_and_a_hundred_groups_are_told_whole() -> None:
    told = figures(100, 1000, Limits())
    assert len(told) == 2 + 300 + 3000
    assert LEFT_OUT not in told


@pytest.mark.parametrize(
    ("groups", "peers", "limits"), [(3, 1000, SMALL), (1000, 1000, SMALL), (3, MAX_ROWS, Limits()), (MAX_ROWS, 3, Limits())]
)  # fmt: skip
def test_figures_that_are_too_many_are_cut_between_groups_and_peers_and_say_how_many_are_missing(
    groups: int, peers: int, limits: Limits
) -> None:
    told = figures(groups, peers, limits)
    assert told["requests"] == 2**60
    left_out = told.pop(LEFT_OUT)
    assert left_out + len(told) == 2 + 3 * groups + 3 * peers
    for name in told:
        of, _, field = name.rpartition(".")
        if field in ("hits", "state"):
            assert {f"{of}.{other}" for other in (("loads", "entries") if field == "hits" else ("inflight", "failures"))} <= told.keys()  # fmt: skip
    # The groups come first: they are what the node is for.
    assert sum(name.endswith(".hits") for name in told) == min(groups, 3) or not any("peer." in name for name in told)
    assert len(told) > 100


def test_the_topology_of_a_thousand_nodes_is_told_whole() -> None:
    ring = Ring.build([Member(f"node-{n}", f"tcp://10.0.{n // 256}.{n % 256}:7401") for n in range(1000)], 5, points=1)
    answer = wire.decode(members_frame(7, ring, {"copied": 2}, Limits()), Limits())
    assert isinstance(answer, wire.Members)
    assert (answer.groups, answer.copies) == (["copied"], [2])
    assert sorted(answer.node_ids) == sorted(member.node_id for member in ring.members)


def test_a_topology_that_does_not_fit_is_refused_and_never_cut() -> None:
    ring = Ring.build([Member(f"node-{n}", f"tcp://10.0.0.{n}:7401") for n in range(256)], 5, points=1)
    answer = wire.decode(members_frame(7, ring, {}, SMALL), SMALL)
    assert isinstance(answer, wire.Refusal)
    assert (answer.request_id, answer.code) == (7, MeshError.code)
    assert "256 members" in answer.message
    assert "limits.message" in answer.message
