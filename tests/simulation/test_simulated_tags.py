"""Histories of simulated clusters in which tags are invalidated keep what is promised of tags; and what would break it is found."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from functools import partialmethod
from typing import Any
from unittest.mock import patch

import pytest
from simulated_tags import run_tags

from zmcache.core.tagging import Tagging
from zmcache.node.repairing import Repairing
from zmcache.shard import Shard

# Fewer where something else is looked for: see `make coverage`.
HISTORIES = min(60, int(os.environ.get("SIMULATED_HISTORIES", "60")))
_A_PART = 20


@pytest.mark.timeout(600)
@pytest.mark.parametrize("first", range(0, HISTORIES, _A_PART))
def test_nothing_that_was_invalidated_is_given_any_more(first: int) -> None:
    runs = [run_tags(seed) for seed in range(first, first + _A_PART)]
    assert [error for _, errors in runs for error in errors] == []
    assert [violation for run, _ in runs for violation in run.violations()] == []
    reads = [read for run, _ in runs for read in run.reads]
    told = [invalidation for run, _ in runs for invalidation in run.invalidations]
    assert sum(read.result is not None for read in reads) > len(reads) / 4
    assert len(told) > 20 * _A_PART / 2
    assert 0 < sum(not each.is_whole for each in told) < len(told) / 3


def _never(real: Any, tagging: Tagging, tags: str, stamp: int) -> bool:
    return False


def _since_it_was_stored(real: Any, shard: Shard, change: Any) -> Any:
    return real(shard, change._replace(token=shard.versions.next()))


def _not_yet(real: Any, shard: Shard, change: Any) -> bool:
    return False


async def _nothing(real: Any, repairing: Repairing, *args: Any) -> None:
    return None


NOT_YET = Shard, "is_old", _not_yet
# Each with the seed from which on it is looked for: at most a few histories before the first that shows it today.
PLANTED: list[tuple[str, list[tuple[type, str, Callable[..., Any]]], str, int]] = [
    ("nothing is ever old", [(Tagging, "is_old", _never)], "outlived", 0),
    ("what is made holds since it was stored", [NOT_YET, (Shard, "keep", _since_it_was_stored)], "outlived", 0),
    ("nobody makes up for what was missed", [(Repairing, "_hear_all", _nothing)], "not made up", 30),
]


@pytest.mark.parametrize(("broken", "rule", "first"), [row[1:] for row in PLANTED], ids=[row[0] for row in PLANTED])
def test_a_planted_bug_is_found(broken: list[tuple[type, str, Callable[..., Any]]], rule: str, first: int) -> None:
    with ExitStack() as stack:
        for owner, name, instead in broken:
            stack.enter_context(patch.object(owner, name, partialmethod(_calling, instead, getattr(owner, name))))
        for seed in range(first, first + 100):
            run, _ = run_tags(seed)
            if rule in {violation.rule for violation in run.violations()}:
                return
    pytest.fail("not found in 100 histories")


def _calling(self: object, instead: Callable[..., Any], real: Any, *args: Any) -> Any:
    return instead(real, self, *args)
