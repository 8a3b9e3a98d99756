"""What any test may ask for. Being here also makes the helpers in this folder importable from every test below it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from zmcache.embedded_etcd import EmbeddedEtcd

_ALONE = Path(__file__).parent / "integration"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What gives way to all else comes first: it has the idle moments of the whole run, and nobody waits for it in the end.

    What runs by itself is looked for in one folder only (see the Makefile).
    """
    for item in items:
        if item.get_closest_marker("alone") and _ALONE not in item.path.parents:
            raise pytest.UsageError(f"{item.nodeid} is marked alone, and would never run outside {_ALONE.name}")
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the collector need not look through all of it again and again.

    Nor need it look so often at the little that a test leaves: with the thresholds of a node (see `zmcache.cli.collector`) it hardly runs.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@pytest.fixture(scope="session")
def shared_etcd() -> Iterator[EmbeddedEtcd]:
    """One etcd for all tests that do it no harm; each uses a cluster name of its own. A missing etcd fails them by name."""
    etcd = EmbeddedEtcd()
    asyncio.run(etcd.start())
    yield etcd
    asyncio.run(etcd.stop())
