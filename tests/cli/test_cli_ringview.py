"""What `zmcache ring` shows, from a topology: no node needed."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import zmcache
from zmcache.cli.ending import Ended
from zmcache.cli.options import Newcomer
from zmcache.cli.ringview import show, view_of

TOPOLOGY = zmcache.Topology(7, tuple(zmcache.Member(f"n{i}", f"tcp://127.0.0.1:{7400 + i}") for i in (1, 2, 3)))


def shown(view: dict[str, object]) -> str:
    out = io.StringIO()
    show(view, Console(file=out, width=140, highlight=False))
    return out.getvalue()


def test_shares_add_up_and_every_node_is_there_with_its_endpoint() -> None:
    view = view_of(TOPOLOGY, [], [], [])
    assert [node["id"] for node in view["nodes"]] == ["n1", "n2", "n3"]
    assert sum(node["share"] for node in view["nodes"]) == pytest.approx(1)
    assert "tcp://127.0.0.1:7402" in shown(view)
    assert "change" not in view


def test_the_owners_of_a_key_are_those_of_the_ring() -> None:
    view = view_of(TOPOLOGY, ["k", "[red]j"], [], [])
    ring = zmcache.Ring.build(TOPOLOGY.members, 7)
    assert view["keys"]["k"] == [owner.node_id for owner in ring.owners("k", 2)]
    assert "[red]j" in shown(view)


def test_a_node_that_joins_gains_what_the_others_lose_and_nothing_else_moves() -> None:
    change = view_of(TOPOLOGY, ["k"], [Newcomer("n4", 2.0)], [])["change"]
    by_id = {node["id"]: node for node in change["nodes"]}
    assert by_id["n4"]["gained"] == pytest.approx(change["moved"]) == pytest.approx(by_id["n4"]["share_then"])
    assert sum(node["lost"] for node in change["nodes"]) == pytest.approx(change["moved"])
    assert all(by_id[old]["gained"] == 0 for old in ("n1", "n2", "n3"))
    # twice the weight of each of three others
    assert change["moved"] == pytest.approx(0.4, abs=0.05)


def test_a_node_that_leaves_loses_all_it_had() -> None:
    view = view_of(TOPOLOGY, ["k"], [], ["n2"])
    by_id = {node["id"]: node for node in view["change"]["nodes"]}
    assert by_id["n2"]["lost"] == pytest.approx(by_id["n2"]["share"]) == pytest.approx(view["change"]["moved"])
    text = shown(view)
    assert f"{view['change']['moved']:.2%} of the keys would move" in text
    assert ("moves" in text) == (view["keys"]["k"][0] == "n2")


def test_the_last_node_may_leave_and_then_nobody_owns_a_key() -> None:
    view = view_of(zmcache.Topology(1, TOPOLOGY.members[:1]), ["k"], [], ["n1"])
    assert (view["change"]["moved"], view["change"]["keys"]["k"]) == (1.0, [])
    assert "moves" in shown(view)


@pytest.mark.parametrize(("added", "removed", "named"), [([Newcomer("n1", 1)], [], "n1"), ([], ["n9"], "n9")])
def test_an_id_that_cannot_be_is_named(added: list[Newcomer], removed: list[str], named: str) -> None:
    with pytest.raises(Ended, match=named) as caught:
        view_of(TOPOLOGY, [], added, removed)
    assert caught.value.exit_code == 2
