"""``zmcache check`` and ``zmcache schema``, and how commands are listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from zmcache.cli import main

CONFIGS = Path(__file__).parents[2] / "configs"

BAD_FILES = {
    "an unknown key": ("groups: {items: {bugdet: 1MiB}}", "groups.items.bugdet"),
    "a wrong type": ("groups: {items: {budget: [1]}}", "groups.items.budget"),
    "a duplicate group": ("groups:\n  items: {}\n  items: {}\n", "items"),
    "a weight of zero": ("node: {weight: 0}\ngroups: {items: {}}", "node.weight"),
    "no YAML": ("groups: {", ""),
    "nothing": ("", "a mapping"),
}


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZMCACHE_NODE_ID", "ZMCACHE_CLUSTER"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", sorted(path.name for path in CONFIGS.glob("*.yaml")))
def test_check_sums_up_each_shipped_config(name: str) -> None:
    result = CliRunner().invoke(main, ["check", str(CONFIGS / name)])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{CONFIGS / name}: valid.")


@pytest.mark.parametrize("what", sorted(BAD_FILES))
def test_check_says_in_one_line_what_is_wrong_and_where(what: str, tmp_path: Path) -> None:
    text, path = BAD_FILES[what]
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"Error: {file}: ")
    assert path in result.stderr


def test_check_of_a_file_that_is_not_there_is_one_line() -> None:
    result = CliRunner().invoke(main, ["check", "nowhere.yaml"])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "nowhere.yaml" in result.stderr


def test_a_misspelt_variable_is_refused_and_named() -> None:
    result = CliRunner(env={"ZMCACHE_NODE_LISTENN": "x"}).invoke(main, ["check", str(CONFIGS / "node.yaml")])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "ZMCACHE_NODE_LISTENN" in result.stderr


def test_schema_prints_the_schema_that_the_configs_name() -> None:
    result = CliRunner().invoke(main, ["schema"])
    assert json.loads(result.stdout) == json.loads((CONFIGS / "zmcache.schema.json").read_text())


def test_up_of_a_node_file_says_what_it_expected(tmp_path: Path) -> None:
    file = tmp_path / "node.yaml"
    file.write_text("groups: {items: {}}")
    result = CliRunner().invoke(main, ["up", str(file)])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "nodes" in result.stderr


def test_help_lists_the_commands_in_the_order_of_their_use() -> None:
    result = CliRunner().invoke(main, ["--help"])
    listed = [line.split()[0] for line in result.stdout.partition("Commands:")[2].splitlines() if line.strip()]
    assert listed == [
        "up",
        "serve",
        "check",
        "schema",
        "get",
        "set",
        "delete",
        "invalidate",
        "explain",
        "nodes",
        "stats",
        "ring",
        "leave",
        "rolling-restart",
    ]
