"""`cache`: a synchronous connection of each kind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sync_worlds import WORLDS, opened

from zmcache.sync import SyncCache


@pytest.fixture(params=WORLDS)
def cache(request: pytest.FixtureRequest) -> Iterator[SyncCache]:
    with opened(request.param) as cache:
        yield cache
