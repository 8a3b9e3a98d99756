"""Histories in which a node is cut off while others come and go: no get is told that there is nothing where two others hold it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from simulated_cuts import Cut, carried_out, draw, run_cut

from zmcache.group import LocalGroup
from zmcache.peers.mesh import Mesh

HISTORIES = 24
_A_PART = 6


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, HISTORIES, _A_PART))
def test_whatever_falls_together_with_a_cut_nothing_that_two_hold_is_not_found(first: int) -> None:
    for seed in range(first, first + _A_PART):
        ended = run_cut(seed)
        assert (ended.violations, ended.errors) == ([], []), f"seed {seed}"
        assert len(ended.reads) > 300


def seen() -> Cut:
    """As the fault suite saw it: b, which the newcomer alone reaches, still hears from etcd that c leaves, and so is to hold what c held."""
    return draw(0)._replace(
        setup=draw(0).setup._replace(nodes=tuple("abcd"), lease_s=3.0),
        victim="b", leaver="c", spared="e", ways=(True, True), spread_s=0.01, etcd_s=1.0,
        leaves_s=0.3, joins_s=0.3, returns_s=math.inf, lease_ends_s=math.inf, heals_s=4.0, sets=0.0,
    )  # fmt: skip


def test_what_the_fault_suite_saw_is_mended() -> None:
    ended = carried_out(seen(), 0)
    assert (ended.violations, ended.errors) == ([], [])


@pytest.mark.parametrize("seed", [464])
def test_what_a_seed_once_found_is_mended(seed: int) -> None:
    """464: who was to hold a key only until somebody had joined was told that it had been given all, and took itself for one who holds it."""
    ended = run_cut(seed)
    assert (ended.violations, ended.errors) == ([], [])


def _holds(real: Any, mesh: Mesh, key: str, copies: int) -> bool:
    return mesh.reaches_holder(key, copies)


def _begin(real: Any, group: LocalGroup, *args: Any, last: bool = True, **kwargs: Any) -> Any:
    return real(group, *args, last=True, **kwargs)


# What was wrong: each alone is found.
PLANTED = [
    ("who is to hold it is taken for one who holds it", Mesh, "would_know", _holds),
    ("whoever stands in loads for those who could ask elsewhere", LocalGroup, "begin", _begin),
]


@pytest.mark.parametrize(("owner", "name", "broken"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_what_was_wrong_is_found(owner: type, name: str, broken: Callable[..., Any]) -> None:
    real = getattr(owner, name)
    with patch.object(owner, name, lambda *args, **kwargs: broken(real, *args, **kwargs)):
        found = [violation.rule for violation in carried_out(seen(), 0).violations]
    assert "lost" in found
