"""All faults, each with what it promises: how many copies, who may fail, how old a read may be, and what is not judged and why."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from faults.acts import links, members, processes
from faults.acts.members import NEWCOMER, amid_changes
from faults.checking.promises import ANY, NONE, WRITES
from faults.cluster import BRIEF_S, HOT_S
from faults.stage import Stage
from zmcache import Limits

LOOPBACK: Final = "loopback"
RELAYS: Final = "relays"
APART: Final = "apart"
"""Each node with a network of its own where the machine allows it, else relays."""

_CALM_STALE_S: Final = HOT_S + 0.5
_STALE_S: Final = BRIEF_S + HOT_S + 0.5
_DEAF_BYTES: Final = links.DEAF * Limits().inflight_bytes  # each connection may have that much under way
_FOUR: Final = ("a", "b", "c", "d")


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row of the table.

    ``copies`` and ``acks`` are R and W. ``out_of_use``: the node has to be out of use within 2 s, and a read that begins later notices
    nothing. ``avoided``: the same of a node that is slow and answers, of which nearly none of these reads notices anything. ``reloads``: one
    node dies, and what that costs the backend is bounded. ``dead``: how many nodes die at once. ``extra_bytes``: what a node may take
    besides its budgets and the usual (P5). ``calm``: rings are equal before and after. ``start``: how a node is started, "usual",
    "clocked" or "no room". ``static``: for each node the members that it believes in.
    """

    name: str
    what: str
    act: Callable[[Stage], Awaitable[None]]
    nodes: tuple[str, ...] = _FOUR
    copies: int = 2
    acks: int = 2
    network: str = LOOPBACK
    may_fail: str = WRITES
    failing: str = "P7"
    stale_s: float = _STALE_S
    out_of_use: bool = False
    avoided: bool = False
    reloads: bool = False
    dead: int = 0
    extra_bytes: int = 0
    calm: bool = True
    start: str = "usual"
    static: Mapping[str, Collection[str]] | None = None
    exempt: Mapping[str, str] = field(default_factory=dict)
    quick: bool = False


_ETCD: Final[dict[str, Any]] = {"may_fail": NONE, "failing": "P6"}
_PLANNED: Final[dict[str, Any]] = {"may_fail": NONE, "failing": "P7"}

FAULTS: Final = (
    Fault(name="none", what="nothing happens", act=processes.nothing, stale_s=_CALM_STALE_S, **_PLANNED),
    Fault(name="kill", what="kill -9 of an owner", act=processes.kill, out_of_use=True, reloads=True, quick=True),
    Fault(name="kill-two", what="kill -9 of two nodes at once", act=processes.kill_two, nodes=(*_FOUR, "f"), copies=3, acks=3, dead=2),
    Fault(name="kill-repair-kill", what="kill -9 of a second node after the repair", act=processes.kill_another),
    Fault(name="stop", what="SIGSTOP for 10 s", act=processes.stop, out_of_use=True),
    Fault(name="flutter", what="SIGSTOP and SIGCONT every 50 ms", act=processes.flutter),
    Fault(name="blocked", what="a loader holds up the loop for 3 s", act=processes.block_loop, out_of_use=True),
    Fault(name="slow-reader", what="a node reads 4 KiB a second", act=links.read_slowly, network=RELAYS, avoided=True),
    Fault(name="deaf-clients", what="clients ask and never read", act=links.deaf_clients, extra_bytes=_DEAF_BYTES, stale_s=_CALM_STALE_S, **_PLANNED),
    Fault(name="partition", what="a node is cut off from nodes and etcd, and healed", act=links.partition, network=APART),
    Fault(name="one-way", what="a node is not heard by the others, and healed", act=links.partition_one_way, network=APART),
    Fault(name="broken-links", what="bytes are delayed, messages halved", act=links.break_links, network=RELAYS),
    Fault(name="garble", what="bytes are dropped and garbled", act=links.garble, network=RELAYS, may_fail=ANY),
    Fault(name="etcd-kill", what="etcd killed, back after 5 s", act=members.kill_etcd, **_ETCD),
    Fault(
        name="etcd-slow", what="etcd answers up to a second late while one joins and one leaves", act=amid_changes(links.slow_etcd),
        network=RELAYS, **_ETCD,
    ),
    Fault(name="etcd-stop", what="etcd stopped for longer than the lease", act=members.stop_etcd, **_ETCD),
    Fault(name="etcd-compact", what="etcd's history compacted", act=members.compact_etcd, **_ETCD),
    Fault(
        name="etcd-revoke", what="a node's lease revoked", act=members.revoke, nodes=("a", "b", "c"), **_ETCD,
    ),
    Fault(name="etcd-empty", what="etcd's data gone", act=members.empty_etcd, **_ETCD),
    Fault(
        name="disagree", what="rings that disagree", act=processes.nothing, calm=False, **_PLANNED,
        static={"a": "abcd", "b": "abc", "c": "bcd", "d": "abcd"},
        exempt=dict.fromkeys(("P8", "P9"), "which node owns a key is not agreed on, and never will be"),
    ),
    Fault(name="join", what="a node joins", act=members.join, **_PLANNED),
    Fault(name="leave", what="a node leaves", act=members.leave, **_PLANNED),
    Fault(name="kill+changes", what="kill -9 while one joins and one leaves", act=amid_changes(processes.kill)),
    Fault(name="stop+changes", what="SIGSTOP for 10 s while one joins and one leaves", act=amid_changes(processes.stop)),
    Fault(
        name="partition+changes", what="a node cut off while one joins and one leaves", act=amid_changes(links.partition), network=APART,
    ),
    Fault(name="etcd-kill+changes", what="etcd killed while one joins and one leaves", act=amid_changes(members.kill_etcd), **_ETCD),
    Fault(name="rolling-restart", what="each node restarted in turn", act=members.rolling_restart, **_PLANNED),
    Fault(name="herd", what="500 callers after a loss, loads of 1 s", act=processes.herd, quick=True),
    Fault(name="full-disk", what="no room for what nodes remember", act=members.change_members_without_room, start="no room", **_ETCD),
    Fault(name="clock", what="a node's clock stepped by an hour", act=processes.step_clock, start="clocked", **_PLANNED),
)  # fmt: skip

assert NEWCOMER not in _FOUR
