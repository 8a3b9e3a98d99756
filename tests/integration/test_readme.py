"""The README's examples are run as they stand, but for the addresses."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from processes import run_python, running

from zmcache.config import parse_node

README = Path(__file__).parents[2] / "README.md"

NODE = """
node: {id: node-1, listen: "tcp://127.0.0.1:0", drain_timeout: 1s}
groups:
  items: {budget: 16MiB, loader: {import: "zmcache.examples:echo", batch: true}}
"""


def example(name: str) -> str:
    found = re.search(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, f"the README has no example {name}"
    return found[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node.yaml").write_text(NODE)
    return tmp_path


def test_the_client_example_prints_what_its_comments_say(folder: Path) -> None:
    with running("serve", "node.yaml", folder=folder) as node:
        address = node.wait_address("node-1")
        program = example("client")
        assert "127.0.0.1:7401,127.0.0.1:7402" in program
        value, default, many, deleted = run_python(
            program.replace("127.0.0.1:7401,127.0.0.1:7402", address), folder=folder
        )
    assert value.startswith("b'value of 42 ")
    assert default == "b'nothing'"
    assert re.match(r"\{'1': b'value of 1 .*'2': .*'3': ", many)
    assert deleted == "True"


def test_the_cached_example_makes_its_value_once(folder: Path) -> None:
    made, found = run_python(example("cached"), folder=folder)
    assert made == "asking the database"
    assert found == "{'id': 7} {'id': 7}"


def test_the_node_example_prints_what_its_comments_say(folder: Path) -> None:
    got, held = run_python(example("node"), folder=folder)
    assert got == held
    assert got.startswith("b'value of 42 ")


def test_the_config_example_is_valid() -> None:
    config = parse_node(example("config"))
    assert set(config.groups) == {"items", "pages"}


def test_the_readme_is_under_200_lines() -> None:
    assert len(README.read_text().splitlines()) < 200
