"""Where values are, for tests of the adapters: in this process, or in three nodes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from three_nodes import three_nodes


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of three nodes."""
    with three_nodes(Path(tmp_path_factory.mktemp("nodes"))) as address:
        yield address


@pytest.fixture(params=["mem", "nodes"])
def address(request: pytest.FixtureRequest) -> str:
    """Of either."""
    return "mem://" if request.param == "mem" else request.getfixturevalue("cluster")
