"""get, set, delete, invalidate, stats and ring, against a real node in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from processes import free_port, running

from zmcache.cli import main

CONFIG = """
node: {id: only, listen: "tcp://127.0.0.1:0", drain_timeout: 1s}
groups:
  items: {budget: 32MiB, loader: {import: "zmcache.examples:echo", batch: true}}
"""
TWO_GROUPS = CONFIG + "  others: {budget: 16MiB}\n"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a node with one group."""
    yield from serving(tmp_path_factory.mktemp("one"), CONFIG)


@pytest.fixture(scope="module")
def two_groups(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from serving(tmp_path_factory.mktemp("two"), TWO_GROUPS)


def serving(folder: Path, config: str) -> Iterator[str]:
    (folder / "node.yaml").write_text(config)
    with running("serve", "node.yaml", folder=folder) as node:
        yield node.wait_address("only")


@pytest.fixture(scope="module")
def large_values(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    limits = "limits: {value: 5MiB, message: 6MiB}\n"
    yield from serving(tmp_path_factory.mktemp("large"), CONFIG + limits)


def zm(address: str, *arguments: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [*arguments, "--nodes", address], input=stdin)


def test_get_writes_the_value_as_it_is(address: str) -> None:
    value = bytes(range(256))
    assert zm(address, "set", "raw", "-", stdin=value).exit_code == 0
    result = zm(address, "get", "raw")
    assert (result.exit_code, result.stdout_bytes) == (0, value)


def test_get_loads_what_is_missing_and_says_when_there_is_no_such_key(address: str) -> None:
    assert zm(address, "get", "hello").stdout.startswith("value of hello ")
    result = zm(address, "get", "absent:x")
    assert (result.exit_code, result.stdout_bytes) == (1, b"")
    assert result.stderr == "Error: no such key: 'absent:x'\n"


def test_delete_says_by_its_exit_code_whether_the_key_was_there(address: str) -> None:
    zm(address, "set", "gone", "v", "--ttl", "1h30m")
    assert [zm(address, "delete", "gone").exit_code for _ in range(2)] == [0, 1]


def test_a_value_may_live_for_ever(address: str) -> None:
    assert zm(address, "set", "kept", "v", "--ttl", "never").exit_code == 0
    assert zm(address, "get", "kept").stdout_bytes == b"v"


@pytest.mark.parametrize(
    "arguments",
    [
        ("set", "k", "v", "--ttl", "0"),
        ("set", "k", "v", "--ttl", "soon"),
        ("get", "k", "--timeout", "0s"),
        ("get", "k", "--max-value", "0"),
        ("get", "k", "--max-value", "much"),
        ("get", ""),
        ("get", "k", "--group", "nothing"),
        ("ring", "--add", "n=0"),
        ("ring", "--add", "n=heavy"),
        ("ring", "--remove", "n9"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2_and_the_last_line_says_why(address: str, arguments: tuple[str, ...]) -> None:
    result = zm(address, *arguments)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in result.stderr


def test_values_larger_than_the_default_are_set_and_got_where_the_cluster_takes_them(large_values: str) -> None:
    value = bytes(5 * 2**20)
    refused = zm(large_values, "set", "big", "-", stdin=value)
    assert refused.exit_code == 2
    assert "5242880 bytes, limit 1048576" in refused.stderr
    assert zm(large_values, "set", "big", "-", "--max-value", "5MiB", stdin=value).exit_code == 0
    result = zm(large_values, "get", "big", "--max-value", "5MiB")
    assert (result.exit_code, result.stdout_bytes) == (0, value)
    assert zm(large_values, "delete", "big", "--max-value", "1TiB").exit_code == 0


def test_of_several_groups_one_must_be_named(two_groups: str) -> None:
    result = zm(two_groups, "get", "k")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: say which group with --group; there are: items, others\n",
    )
    assert zm(two_groups, "get", "k", "--group", "items").exit_code == 0


def test_stats_count_what_was_asked(two_groups: str) -> None:
    before = json.loads(zm(two_groups, "stats", "--json").stdout)["only"]
    for _ in range(2):
        zm(two_groups, "get", "counted", "--group", "items")
    after = json.loads(zm(two_groups, "stats", "--json").stdout)["only"]
    assert after["group.items.loads"] - before["group.items.loads"] == 1
    assert after["group.items.hits"] - before["group.items.hits"] == 1
    table = zm(two_groups, "stats").stdout
    assert "group items" in table
    assert "16MiB" in table


def test_ring_shows_the_node_and_what_would_move(address: str) -> None:
    view = json.loads(zm(address, "ring", "k", "--add", "new", "--json").stdout)
    assert view["keys"] == {"k": ["only"]}
    assert 0.4 < view["change"]["moved"] < 0.6
    assert "would move" in zm(address, "ring", "--add", "10.0.0.1:7401=0.5").stdout


def test_nobody_there_is_one_line_with_the_address() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    for arguments in (["get", "k"], ["stats"], ["ring"]):
        result = CliRunner().invoke(main, [*arguments, "--nodes", nobody, "--timeout", "300ms"])
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert nobody in result.stderr


def test_an_address_that_is_none_ends_with_2() -> None:
    result = CliRunner().invoke(main, ["get", "k", "--nodes", "nowhere"])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)


def test_invalidate_forgets_what_was_set_with_the_tag(address: str) -> None:
    for key, tag in (("absent:1", "t"), ("absent:2", "t"), ("absent:3", "another")):
        assert zm(address, "set", key, "v", "--tag", tag, "--tag", "all").exit_code == 0
    assert zm(address, "invalidate", "--tag", "t", "--tag", "u").exit_code == 0
    assert [zm(address, "get", f"absent:{n}").exit_code for n in (1, 2, 3)] == [1, 1, 0]


def test_what_is_no_tag_is_refused_in_one_line(address: str) -> None:
    for arguments in (("invalidate", "--tag", ""), ("set", "k", "v", "--tag", "x" * 251)):
        result = zm(address, *arguments)
        assert result.exit_code in (1, 2)
        assert result.stderr.count("\n") == 1
    assert zm(address, "invalidate").exit_code == 2
