"""The files in configs/: each loads, each fits the schema, and the schema is what the program would print now."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from zmcache.config import NodeConfig, check, load_cluster, load_node, parse_node
from zmcache.config.schema import json_schema, schema_text

CONFIGS = Path(__file__).parents[2] / "configs"
FILES = sorted(CONFIGS.glob("*.yaml"))


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_shipped_config_is_valid_and_fits_the_schema(path: Path, validator: Any) -> None:
    assert "valid" in check(path, env={})
    validator.validate(yaml.safe_load(path.read_text()))


def test_all_three_configs_are_there() -> None:
    assert {path.name for path in FILES} >= {"node.yaml", "three-nodes.yaml", "static.yaml"}


def test_the_stored_schema_is_the_generated_one() -> None:
    stored = (CONFIGS / "zmcache.schema.json").read_text()
    assert stored == schema_text(), "run: python -m zmcache.config.schema > configs/zmcache.schema.json"


def test_the_schema_is_printed_by_its_module() -> None:
    ran = subprocess.run([sys.executable, "-m", "zmcache.config.schema"], capture_output=True, check=True, timeout=60)
    assert json.loads(ran.stdout) == json_schema()


def test_the_commented_file_names_every_setting_and_shows_its_default() -> None:
    text = (CONFIGS / "node.yaml").read_text()
    for name, section in json_schema()["$defs"].items():
        if name != "ClusterConfig":
            for setting in section["properties"]:
                assert f"{setting}:" in text, f"{name}.{setting} is missing"
    # What its own head says: what stands here is the default unless a line says otherwise.
    config = load_node(CONFIGS / "node.yaml", env={})
    plain = parse_node(
        "cluster: demo\nnode: {id: node-1}\ngroups: {items: {loader: {import: 'zmcache.examples:echo', batch: true}}}"
    )
    assert config == plain


def test_three_nodes_can_keep_a_whole_trace_without_expiry() -> None:
    cluster = load_cluster(CONFIGS / "three-nodes.yaml", env={})
    assert cluster.etcd == "embedded"
    assert [node.listen for node in cluster.nodes] == [f"tcp://127.0.0.1:740{n}" for n in (1, 2, 3)]
    assert (cluster.groups["items"].ttl_s, cluster.groups["items"].budget_bytes) == (None, 256 * 2**20)


def test_static_nodes_know_each_other_without_etcd() -> None:
    config: NodeConfig = load_node(CONFIGS / "static.yaml", env={}, node_id="node-2")
    assert len(config.discovery.static or ()) == 3


@pytest.mark.parametrize(
    "text",
    [
        "groups: {}", "groups: {items: {budgt: 1MiB}}", "groups: {items: {budget: 64M}}", "groups: {items: {ttl: 30m2h}}",
        "groups: {items: {hot_share: 0.6}}", "groups: {items: {policy: lifo}}", "groups: {items: {loader: {}}}",
        "groups: {items: {}}\nnode: {weight: 0}",
        "groups: {items: {}}\nnodes: []", "groups: {items: {}}\nnode: {listen: 7401}", "nodes: [{id: a}]\ngroups: {a/b: {}}",
    ],
)  # fmt: skip
def test_the_schema_refuses_what_the_program_refuses(text: str, validator: Any) -> None:
    assert not validator.is_valid(yaml.safe_load(text))


@pytest.mark.parametrize(
    "text",
    [
        "groups: {items: }", "node:\ngroups: {items: {ttl: 2h30m, budget: 1.5 GiB, negative_ttl: 0}}", "groups: {i: {ttl: null, loader: null}}",
        "groups: {i: {loader: {sql: {url: 'sqlite:///x', query: 'WHERE k IN :keys'}}}}", "nodes: [{id: a}]\netcd: ['h:1']\ngroups: {i: {}}",
    ],
)  # fmt: skip
def test_the_schema_takes_what_the_program_takes(text: str, validator: Any) -> None:
    validator.validate(yaml.safe_load(text))
    parse_node(text, node_id="a" if "nodes" in text else None)
