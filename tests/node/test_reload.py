"""Which changes of a config a running node takes over, and which it only tells of."""

from __future__ import annotations

from zmcache.config import parse_node
from zmcache.node.reload import changes, with_budgets

OLD = parse_node("""
node: {id: a, listen: "tcp://127.0.0.1:7401"}
groups: {items: {budget: 1MiB}, other: {}, gone: {}}
""")


def test_a_budget_is_taken_over_and_the_rest_waits() -> None:
    new = parse_node("""
node: {id: a, listen: "tcp://127.0.0.1:7402"}
groups: {items: {budget: 2MiB, ttl: 5s, policy: sieve}, other: {}, come: {}}
""")
    found = changes(OLD, new)
    assert found.budgets == {"items": (2**20, 2**21)}
    assert found.waiting == [
        "node",
        "discovery",
        "groups.items.ttl",
        "groups.items.policy",
        "groups.gone",
        "groups.come",
    ]
    running = with_budgets(OLD, found.budgets)
    assert running.groups["items"].budget_bytes == 2**21
    assert changes(running, new).budgets == {}
    assert changes(running, new).waiting == found.waiting, "what waits is told again"


def test_the_same_file_changes_nothing() -> None:
    assert changes(OLD, OLD) == ({}, [])
