"""One etcd for all tests that do it no harm; each takes a cluster name of its own. Missing etcd fails them by name."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import pytest

from zmcache.embedded_etcd import EmbeddedEtcd

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_etcd() -> Iterator[EmbeddedEtcd]:
    etcd = EmbeddedEtcd()
    asyncio.run(etcd.start())
    yield etcd
    asyncio.run(etcd.stop())


@pytest.fixture
def cluster() -> str:
    return f"test-{next(_numbers)}"
