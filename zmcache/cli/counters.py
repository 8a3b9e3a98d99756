"""The tables of ``zmcache stats``, tier by tier: which counters stand together, and what they are called for people.

A tier in which nothing has happened anywhere is left out. Names of figures stand here and in `zmcache.node.figures` alone; a node of another version
may not have one: then a dash stands there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from zmcache.cli.cluster import suspecting
from zmcache.cli.tables import escaped, right_table
from zmcache.config import format_duration, format_size

if TYPE_CHECKING:
    from rich.table import Table

Figures = Mapping[str, float]


def _count(figure: float) -> str:
    return f"{figure:,.0f}"


def _size(figure: float) -> str:
    return format_size(int(figure))


def _yes(figure: float) -> str:
    return "yes" if figure else "-"


class Column(NamedTuple):
    """One figure of a tier."""

    heading: str
    figure: str
    shown: Callable[[float], str] = _count


class Tier(NamedTuple):
    """Figures that stand together."""

    title: str
    columns: tuple[Column, ...]


NODE_TIERS: Final = (
    Tier("out of the ring, or out of time", (
        Column("leases lost", "lease_losses"), Column("standstills", "standstills"), Column("in doubt", "doubting", _yes),
        Column("members held", "ring.held"),
    )),
    Tier("handing over", (
        Column("keys sent", "handover.keys"), Column("bytes sent", "handover.bytes", _size), Column("keys not arrived", "handover.failed"),
        Column("for rings", "handover.walks"), Column("peers compared", "handover.compared"), Column("under way", "handover.under_way", _yes),
    )),
)  # fmt: skip

STORE: Final = Tier("store", (
    Column("entries", "entries"), Column("used", "used_bytes", _size), Column("budget", "budget_bytes", _size), Column("hits", "hits"),
    Column("evicted", "evictions"), Column("expired", "expirations"), Column("let go", "let_go"), Column("too large", "refused"),
))  # fmt: skip

GROUP_TIERS: Final = (
    Tier("loads", (
        Column("loads", "loads"), Column("calls", "loader_calls"), Column("failed", "load_failures"), Column("under way", "loading"),
        Column("queued", "queued"), Column("asked elsewhere", "asked"), Column("for others", "fallback_loads"), Column("early", "refreshes"),
    )),
    Tier("changes", (
        Column("sets", "sets"), Column("deletes", "deletes"), Column("leases", "leases"), Column("leases expired", "leases_expired"),
        Column("leases overtaken", "leases_overtaken"),
    )),
    Tier("hot copies", (Column("entries", "hot_entries"), Column("used", "hot_bytes", _size), Column("hits", "hot_hits"))),
    Tier("copies", (
        Column("sent", "copies_sent"), Column("failed", "copies_failed"), Column("taken", "copies_taken"),
        Column("not newer", "copies_refused"), Column("entries short", "copies_short"), Column("tombstones", "tombstones"),
        Column("tombstones dropped", "tombstones_dropped"),
    )),
)  # fmt: skip


def node_table(statistics: Mapping[str, Figures]) -> Table:
    """What each node was asked for."""
    table = right_table(
        "node", "up", "share", "requests", "forwarded", "frames", "bad", "refused", "cancelled", "peers in use"
    )
    for node_id, figures in sorted(statistics.items()):
        table.add_row(
            escaped(node_id),
            format_duration(round(figures["uptime_s"])),
            f"{figures['ring.share']:.2%}",
            *(
                _count(figures[name])
                for name in ("requests", "forwarded", "frames", "bad_frames", "refused", "cancelled")
            ),
            f"{figures['peers.in_use']:.0f} of {figures['peers']:.0f}",
        )
    return table


def node_tables(statistics: Mapping[str, Figures]) -> Iterable[tuple[str, Table]]:
    """The other tiers of the nodes themselves, each with its title, and what they say of one another."""
    for tier in NODE_TIERS:
        if (table := tier_table(tier, "", statistics)) is not None:
            yield tier.title, table
    if (table := peer_table(statistics)) is not None:
        yield "peers, as the others see them", table


def group_tables(group: str, statistics: Mapping[str, Figures]) -> Iterable[tuple[str, Table]]:
    """The tiers of a group, the store always among them."""
    yield STORE.title, store_table(group, statistics)
    for tier in GROUP_TIERS:
        if (table := tier_table(tier, f"group.{group}.", statistics)) is not None:
            yield tier.title, table


def tier_table(tier: Tier, prefix: str, statistics: Mapping[str, Figures]) -> Table | None:
    """None where nothing has happened."""
    names = [prefix + column.figure for column in tier.columns]
    if not any(figures.get(name) for figures in statistics.values() for name in names):
        return None
    table = right_table("node", *(column.heading for column in tier.columns))
    for node_id, figures in sorted(statistics.items()):
        if any(name in figures for name in names):
            table.add_row(escaped(node_id), *_row(tier.columns, prefix, figures))
    return table


def store_table(group: str, statistics: Mapping[str, Figures]) -> Table:
    """What is held: how much, how often it was found, and how entries went that nobody deleted."""
    headings = [column.heading for column in STORE.columns]
    after = headings.index("hits") + 1
    table = right_table("node", *headings[:after], "hit ratio", *headings[after:])
    prefix = f"group.{group}."
    for node_id, figures in sorted(statistics.items()):
        if f"{prefix}entries" in figures:
            cells = _row(STORE.columns, prefix, figures)
            table.add_row(escaped(node_id), *cells[:after], _hit_ratio(figures, prefix), *cells[after:])
    return table


def peer_table(statistics: Mapping[str, Figures]) -> Table | None:
    """Each peer as all the others see it together; None where there are no others."""
    peers = sorted({name.removeprefix("peer.").removesuffix(".state") for figures in statistics.values() for name in figures
                    if name.startswith("peer.") and name.endswith(".state")})  # fmt: skip
    if not peers:
        return None
    has_rtt = any(name.endswith(".rtt_ms") for figures in statistics.values() for name in figures)
    extra = ["ping, slowest", "slow for"] if has_rtt else []
    table = right_table("peer", "in use by", "suspected by", "in flight to it", "failures", *extra)
    table.columns[2].justify = "left"
    for peer in peers:
        seen_by = {node_id: figures for node_id, figures in statistics.items() if f"peer.{peer}.state" in figures}
        suspected = suspecting(peer, seen_by)
        cells = [
            f"{len(seen_by) - len(suspected)} of {len(seen_by)}", escaped(", ".join(suspected)) or "-",
            *(_count(sum(figures.get(f"peer.{peer}.{name}", 0.0) for figures in seen_by.values())) for name in ("inflight", "failures")),
        ]  # fmt: skip
        if has_rtt:
            slow = sorted(node_id for node_id, figures in seen_by.items() if figures.get(f"peer.{peer}.slow"))
            slowest_ms = max(figures.get(f"peer.{peer}.rtt_ms", 0.0) for figures in seen_by.values())
            cells += [f"{slowest_ms:.3g} ms", escaped(", ".join(slow)) or "-"]
        table.add_row(escaped(peer), *cells)
    return table


def _row(columns: Iterable[Column], prefix: str, figures: Figures) -> list[str]:
    found = ((column.shown, figures.get(prefix + column.figure)) for column in columns)
    return ["-" if figure is None else shown(figure) for shown, figure in found]


def _hit_ratio(figures: Figures, prefix: str) -> str:
    hits = figures[f"{prefix}hits"] + figures[f"{prefix}hot_hits"]
    looked = hits + figures[f"{prefix}misses"]
    return f"{hits / looked:.1%}" if looked else "-"
