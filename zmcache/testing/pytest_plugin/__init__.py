"""The fixture ``zmcache_cluster``. Installed as the package ``zmcache_pytest``.

Pytest imports its plugins before anything else, in every project of the environment, be zmcache used there or not: so this imports nothing. It
is not a part of the package ``zmcache`` as installed, because then that would be imported first, and coverage would begin after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from zmcache.testing import Cluster


@pytest.fixture
def zmcache_cluster() -> type[Cluster]:
    """Make zmcache clusters inside the test: ``async with zmcache_cluster(nodes=3) as cluster: cache = await cluster.connect()``.

    The arguments are those of ``zmcache.testing.Cluster``. Works in coroutines that the test runs itself (asyncio.run), and with pytest-asyncio.
    """
    from zmcache.testing import Cluster

    return Cluster
