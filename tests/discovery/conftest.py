"""Each test of discovery takes a cluster name of its own, so that they share one etcd and never meet in it."""

from __future__ import annotations

import itertools

import pytest

_numbers = itertools.count(1)


@pytest.fixture
def cluster() -> str:
    return f"test-{next(_numbers)}"
