"""A node's process takes the descriptors that it may have, and says in one line when they are too few for the cluster."""

from __future__ import annotations

import asyncio
import logging
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import free_port

from zmcache.cli.descriptors import raise_limit, shortage, warn_of_shortage


@pytest.fixture
def low_limit() -> Iterator[int]:
    """The hard limit of this process, whose soft one is low meanwhile."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_soft_limit_is_raised_to_the_hard_one(low_limit: int) -> None:
    assert raise_limit() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    if low_limit != resource.RLIM_INFINITY:
        assert raise_limit() == low_limit


def test_a_thousand_nodes_need_more_than_the_usual_limit_and_a_hundred_do_not() -> None:
    assert shortage(100, 1024) is None
    assert shortage(1000, 1_000_000) is None
    text = shortage(1000, 1024)
    assert text is not None
    assert "1000 nodes" in text
    assert "ulimit" in text


def test_a_shortage_is_logged_once_and_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(warn_of_shortage(lambda: 1000, 1024))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "\n" not in record.getMessage()


def test_a_node_that_may_have_too_few_serves_and_says_so(tmp_path: Path) -> None:
    ports = [free_port(), *range(1, 100)]
    members = ", ".join(f'{{id: "n{n}", endpoint: "tcp://127.0.0.1:{port}"}}' for n, port in enumerate(ports))
    (tmp_path / "node.yaml").write_text(
        f'node: {{id: n0, listen: "tcp://127.0.0.1:{ports[0]}"}}\n'
        f"discovery: {{static: [{members}]}}\ngroups: {{items: {{}}}}\n"
    )
    with subprocess.Popen(
        ["sh", "-c", 'ulimit -n 200; exec "$0" -m zmcache serve node.yaml', sys.executable],
        cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as node:  # fmt: skip
        assert node.stderr is not None
        try:
            assert any("200 file descriptors are too few for 100 nodes" in line for line in node.stderr)
        finally:
            node.kill()
