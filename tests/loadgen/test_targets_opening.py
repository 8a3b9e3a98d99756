"""What ``--target`` understands, and what it says of the rest."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
import uvloop
from processes import taken_port
from target_worlds import CONFIG, config_in
from zmcache_loadgen.errors import TargetRefused
from zmcache_loadgen.targets.opening import open_target


def refusal(text: str, **options: str) -> str:
    """The one line that opening it ends with."""

    async def main() -> str:
        with pytest.raises(TargetRefused) as raised:
            async with open_target(text, **options):  # type: ignore[arg-type]
                pass
        return str(raised.value)

    line = uvloop.run(main())
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "127.0.0.1:7401", "zmcache", "zmcache:", "embedded:", "dict:1", "noop:", "Redis:h:1", "dict "],
)
def test_what_is_no_target_is_told_all_forms(text: str) -> None:
    line = refusal(text)
    assert line.endswith(f"found {text!r}")
    for form in ("zmcache:HOST:PORT", "embedded:FILE", "redis:HOST:PORT", "memcached:HOST:PORT", "dict", "noop"):
        assert form in line


@pytest.mark.parametrize("kind", ["redis", "memcached"])
@pytest.mark.parametrize(
    "where", ["", ":", "host", "host:", ":1", "host:port", "host:0", "host:65536", "host:-1", "host:\u0663"]
)
def test_an_address_that_cannot_be_understood_is_refused(kind: str, where: str) -> None:
    text = f"{kind}:{where}"
    assert refusal(text) == f"target: expected {kind}:HOST:PORT, found {text!r}"


@pytest.mark.parametrize("nodes", ["not an address", "host:1,other", "host:99999"])
def test_addresses_of_nodes_are_refused_in_the_clients_words(nodes: str) -> None:
    assert refusal(f"zmcache:{nodes}").startswith("expected host:port, found ")


def test_a_route_that_does_not_exist_is_refused() -> None:
    assert "'nearest'" in refusal("zmcache:127.0.0.1:1", route="nearest")


@pytest.mark.parametrize("kind", ["redis", "memcached"])
def test_a_package_that_is_missing_is_named_with_what_installs_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    package = {"redis": "hiredis", "memcached": "aiomcache"}[kind]
    monkeypatch.setitem(sys.modules, package, None)
    line = refusal(f"{kind}:127.0.0.1:1")
    assert package in line
    assert line.endswith("pip install 'zmcache[bench]'")


def test_an_embedded_node_needs_a_file_that_is_there_and_right(tmp_path: Path) -> None:
    assert "missing.yaml" in refusal(f"embedded:{tmp_path / 'missing.yaml'}")
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("groups: {items: {budget: lots}}")
    assert "groups.items.budget" in refusal(f"embedded:{wrong}")


def test_an_embedded_node_whose_port_is_taken_refuses_the_run(tmp_path: Path) -> None:
    with taken_port() as port:
        config = tmp_path / "node.yaml"
        config.write_text(CONFIG.replace("127.0.0.1:0", f"127.0.0.1:{port}"))
        assert str(port) in refusal(f"embedded:{config}")


def test_an_embedded_node_is_gone_when_its_target_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        for _ in range(2):
            async with open_target(f"embedded:{config_in(tmp_path)}") as target:
                await target.write("k", b"v", 0.0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    uvloop.run(main())


def test_what_the_one_who_uses_it_raises_passes_unchanged() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="mine"):
            async with open_target("dict"):
                raise ValueError("mine")

    uvloop.run(main())
