"""What `zmcache explain` shows, from explanations made by hand."""

from __future__ import annotations

import io

from rich.console import Console

from zmcache import Explanation
from zmcache.cli.explaining import show
from zmcache.core.explained import Kept, NodeExplanation

NODES = (
    NodeExplanation(
        node_id="b", state="up", missed="it was evicted: there was no room", missed_ago_s=90.0, took_s=0.0123,
        found=(
            Kept(where="store", age_s=1.5, ttl_s=0.0, kept_s=20.0, version=7, size=2048),
            Kept(where="being made by a caller", ttl_s=8.0, kept_s=8.0),
        ),
    ),
    NodeExplanation(node_id="c", state="slow", same_ring=False, found=(Kept(where="store", version=6, size=1024),)),
    NodeExplanation(node_id="d", state="suspect", error="DeadlineExceeded: no answer"),
    NodeExplanation(node_id="e", state="up"),
)  # fmt: skip


def shown() -> list[str]:
    out = io.StringIO()
    told = Explanation(group="items", key="k", owners=("b", "c"), nodes=NODES)
    show(told, Console(file=out, width=160, highlight=False))
    return [" ".join(line.split()) for line in out.getvalue().splitlines()]


def test_each_thing_that_is_there_has_a_line_and_so_has_a_node_without_any() -> None:
    lines = shown()
    assert lines[0] == "key k of group items; owners: b, c"
    assert lines[3:8] == [
        "b up store 1.5s over 20s 2KiB 7",
        "b up being made by a caller 8s 8s",
        "c slow, another ring store for ever for ever 1KiB 6",
        "d suspect ?",
        "e up nowhere",
    ]


def test_why_a_get_missed_and_how_long_a_load_took_are_sentences() -> None:
    assert shown()[-2:] == [
        "b: the last get that missed 1m30s ago: it was evicted: there was no room",
        "b: the last load took 12.3ms",
    ]
