"""What `zmcache nodes` and `zmcache stats` show, from figures made by hand."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping

from rich.console import Console
from rich.table import Table
from views import view

from zmcache.cli.counters import group_tables, node_tables
from zmcache.cli.nodes import described, show

B_IS_AWAY = view(
    a={"group.x.entries": 1000.0, "group.y.entries": 500.0, "group.x.used_bytes": 1024.0, "group.x.hot_entries": 7.0,
       "group.x.copies_short": 40.0, "group.y.copies_short": 2.0, "peer.b.state": 0.0, "peer.c.state": 1.0},
    b=None,
    c={"peer.b.state": 0.0, "peer.a.state": 1.0, "handover.under_way": 1.0, "handover.keys_now": 30.0, "handover.bytes_now": 2048.0},
)  # fmt: skip


def shown(print_it: Callable[[Console], None]) -> list[list[str]]:
    out = io.StringIO()
    print_it(Console(file=out, width=160, highlight=False))
    return [line.split() for line in out.getvalue().splitlines()]


def test_nodes_that_do_not_answer_are_shown_as_the_others_see_them() -> None:
    rows = shown(lambda out: show(B_IS_AWAY, out))
    assert rows[2] == ["a", "tcp://127.0.0.1:7401", "serving", "33.33%", "1,500", "1KiB", "42", "-", "-"]
    assert rows[3] == [
        *("b", "tcp://127.0.0.1:7402", "serving,", "not", "answering", "33.33%"), "?", "?", "?", "?", "a,", "c"
    ]  # fmt: skip
    assert rows[4][-4:] == ["30", "keys,", "2KiB", "-"]
    a, b, c = described(B_IS_AWAY)["nodes"]
    assert (a["keys"], a["bytes"], a["copies_short"], a["answers"]) == (1500, 1024, 42, True)
    assert (b["keys"], b["handing_over"], b["answers"], b["suspected_by"]) == (None, None, False, ["a", "c"])
    assert c["handing_over"] == {"under_way": True, "keys": 30, "bytes": 2048}


NODE = {
    "group.x.entries": 3.0, "group.x.used_bytes": 512.0, "group.x.budget_bytes": 2048.0, "group.x.hits": 9.0, "group.x.hot_hits": 1.0,
    "group.x.misses": 10.0, "group.x.evictions": 4.0, "group.x.expirations": 5.0, "group.x.let_go": 6.0, "group.x.refused": 0.0,
    "group.x.loads": 0.0, "group.x.copies_sent": 0.0, "handover.keys": 0.0, "peer.b.state": 1.0, "peer.b.failures": 2.0,
}  # fmt: skip


def tables(found: object) -> dict[str, list[list[str]]]:
    def cells(table: Table) -> list[list[str]]:
        columns = [[str(cell) for cell in column.cells] for column in table.columns]
        return [[str(column.header) for column in table.columns], *(list(row) for row in zip(*columns, strict=True))]

    return {title: cells(table) for title, table in found}  # type: ignore[attr-defined]


def test_stats_tell_apart_how_entries_went_and_leave_out_tiers_in_which_nothing_has_happened() -> None:
    found = tables(group_tables("x", {"a": NODE}))
    assert list(found) == ["store", "hot copies"]
    headings, row = found["store"]
    assert dict(zip(headings, row, strict=True)) == {
        "node": "a", "entries": "3", "used": "512B", "budget": "2KiB", "hits": "9", "hit ratio": "50.0%",
        "evicted": "4", "expired": "5", "let go": "6", "too large": "0",
    }  # fmt: skip
    busy: Mapping[str, float] = NODE | {"group.x.copies_sent": 8.0, "group.x.copies_short": 2.0, "group.x.loads": 1.0}
    found = tables(group_tables("x", {"a": NODE, "b": busy}))
    assert list(found) == ["store", "loads", "hot copies", "copies"]
    headings, a, b = found["copies"]
    assert dict(zip(headings, b, strict=True))["entries short"] == "2"
    assert dict(zip(headings, a, strict=True))["entries short"] == "-"  # of a version that does not tell


def test_stats_show_each_peer_as_the_others_see_it_together() -> None:
    c = {"peer.b.state": 0.0, "peer.b.failures": 3.0, "peer.a.state": 1.0, "handover.keys": 12.0}
    found = tables(node_tables({"a": NODE, "c": c}))
    assert list(found) == ["handing over", "peers, as the others see them"]
    assert found["peers, as the others see them"][1:] == [
        ["a", "1 of 1", "-", "0", "0"],
        ["b", "1 of 2", "c", "0", "5"],
    ]
    slow = {"peer.b.state": 1.0, "peer.b.rtt_ms": 250.0, "peer.b.slow": 1.0}
    found = tables(node_tables({"a": NODE, "c": slow}))
    assert found["peers, as the others see them"][1] == ["b", "2 of 2", "-", "0", "2", "250 ms", "c"]
