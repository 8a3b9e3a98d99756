"""``zmcache explain`` and the nodes of a cluster, each a process of its own."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from eventually import eventually_blocking
from processes import free_port, running

from zmcache.cli import main

CONFIG = """
node: {{id: {me}, listen: "tcp://127.0.0.1:{port}", drain_timeout: 1s}}
discovery: {{static: {members}}}
groups:
  items: {{budget: 32MiB, copies: 2, loader: {{import: "zmcache.examples:echo", batch: true}}}}
"""


def zm(address: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--nodes", address])


def test_a_key_is_explained_by_both_who_hold_it_and_one_that_is_gone_is_named(tmp_path: Path) -> None:
    ports = {name: free_port() for name in "ab"}
    members = json.dumps([{"id": name, "endpoint": f"tcp://127.0.0.1:{port}"} for name, port in ports.items()])
    for name, port in ports.items():
        (tmp_path / f"{name}.yaml").write_text(CONFIG.format(me=name, port=port, members=members))
    address = f"127.0.0.1:{ports['a']}"
    with running("serve", "a.yaml", folder=tmp_path) as a, running("serve", "b.yaml", folder=tmp_path) as b:
        a.wait_address("a")
        b.wait_address("b")
        assert zm(address, "get", "hello").exit_code == 0

        def told_of() -> dict[str, Any]:
            result = zm(address, "explain", "hello", "--json")
            assert result.exit_code == 0, result.stderr
            return json.loads(result.stdout)  # type: ignore[no-any-return]

        # What was loaded is copied in the background.
        eventually_blocking(lambda: all(node["found"] for node in told_of()["nodes"]), told_of)
        told = told_of()
        assert (told["group"], told["key"], sorted(told["owners"])) == ("items", "hello", ["a", "b"])
        owner = told["nodes"][0]
        assert owner["node_id"] == told["owners"][0]
        assert [kept["where"] for kept in owner["found"]] == ["store"]
        assert owner["found"][0]["size"] > 0
        assert owner["took_s"] is not None
        assert owner["missed"].startswith("it was never seen there")

        result = zm(address, "explain", "hello")
        assert result.exit_code == 0, result.stderr
        assert "store" in result.stdout
        assert "the last load took" in result.stdout

        b.send(signal.SIGKILL)
        b.wait_end()
        result = zm(address, "explain", "hello", "--timeout", "1s")
        assert result.exit_code == 1
        assert "no answer from b" in result.stderr
        assert "store" in result.stdout
