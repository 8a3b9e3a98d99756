"""ZMCACHE_* variables: each overrides one setting, and none is ignored in silence."""

from __future__ import annotations

import pytest

from zmcache.config import ImportLoader, NodeConfig, SqlLoader, parse_cluster, parse_node
from zmcache.errors import ConfigError

FILE = """
node: {id: n}
groups:
  items: &items {budget: 1MiB, ttl: 1s, loader: {sql: {url: "sqlite:///a.db", query: "SELECT k, v FROM t WHERE k IN :keys"}}}
  other-things: *items
  bare:
"""


def node(**env: str) -> NodeConfig:
    return parse_node(FILE, file="f.yaml", env={f"ZMCACHE_{name}": value for name, value in env.items()})


def refusal(**env: str) -> str:
    with pytest.raises(ConfigError) as caught:
        node(**env)
    return str(caught.value)


def test_each_kind_of_setting_can_be_overridden() -> None:
    config = node(
        CLUSTER="c", NODE_LISTEN="tcp://127.0.0.1:9", NODE_WEIGHT="2.5", NODE_ADVERTISE="tcp://h:5", NODE_ID="007",
        DISCOVERY_ETCD="a:1, b:2", LIMITS_VALUE="2MiB", GROUPS_ITEMS_BUDGET="2097152", GROUPS_ITEMS_TTL="",
        GROUPS_ITEMS_LOADER_SQL_URL="sqlite:///b.db", GROUPS_OTHER_THINGS_TTL="3s", GROUPS_BARE_LOADER_IMPORT="m:f",
        GROUPS_BARE_LOADER_BATCH="true", GROUPS_BARE_MAX_LOADS="5",
    )  # fmt: skip
    assert (config.cluster, config.node.id, config.node.weight) == ("c", "007", 2.5)
    assert (config.node.listen, config.node.advertise) == ("tcp://127.0.0.1:9", "tcp://h:5")
    assert config.discovery.etcd == ("a:1", "b:2")
    assert config.limits.value_bytes == 2 * 2**20
    items = config.groups["items"]
    assert (items.budget_bytes, items.ttl_s) == (2 * 2**20, None)
    assert isinstance(items.loader, SqlLoader)
    assert items.loader.url == "sqlite:///b.db"
    assert config.groups["bare"].loader == ImportLoader(target="m:f", batch=True)


def test_a_group_that_is_another_ones_alias_keeps_its_own_settings() -> None:
    config = node(GROUPS_ITEMS_TTL="9s", GROUPS_OTHER_THINGS_LOADER_SQL_URL="sqlite:///c.db")
    assert (config.groups["items"].ttl_s, config.groups["other-things"].ttl_s) == (9.0, 1.0)
    loader = config.groups["items"].loader
    assert isinstance(loader, SqlLoader)
    assert loader.url == "sqlite:///a.db"


def test_the_environment_of_a_cluster_file_can_replace_its_etcd() -> None:
    text = "nodes: [{id: a}]\netcd: embedded\ngroups: {i: {}}"
    assert parse_cluster(text, env={"ZMCACHE_ETCD": "h:1,i:2"}).etcd == ("h:1", "i:2")
    assert parse_cluster(text, env={"ZMCACHE_ETCD": ""}).etcd is None
    assert parse_cluster(text.replace("embedded", "['h:1']"), env={"ZMCACHE_ETCD": "embedded"}).etcd == "embedded"


def test_a_wrong_value_names_the_setting_and_the_variable() -> None:
    assert refusal(GROUPS_ITEMS_BUDGET="lots") == (
        "f.yaml: groups.items.budget: expected a size such as 64MiB or 1048576 (bytes), found 'lots' (set by ZMCACHE_GROUPS_ITEMS_BUDGET)"
    )
    assert refusal(NODE_WEIGHT="0").endswith("found 0 (set by ZMCACHE_NODE_WEIGHT)")
    assert refusal(NODE_WEIGHT="[1").startswith(
        "f.yaml: ZMCACHE_NODE_WEIGHT: expected a value as in a file, found '[1'"
    )
    assert "hunter2" not in refusal(GROUPS_ITEMS_LOADER_SQL_URL="u:hunter2@h")


def test_a_variable_that_names_no_setting_is_refused_with_the_nearest_one() -> None:
    assert refusal(GROUPS_ITEMS_BUDGTE="1MiB") == (
        "f.yaml: ZMCACHE_GROUPS_ITEMS_BUDGTE: expected `ZMCACHE_GROUPS_ITEMS_BUDGET`, found a variable that names no setting"
    )
    assert "such as ZMCACHE_NODE_LISTEN, found a variable that names no setting" in refusal(XYZZY="1")
    assert "names no setting" in refusal(GROUPS_NEW_BUDGET="1MiB")
    assert "names no setting" in refusal(DISCOVERY_STATIC="x")


def test_variables_of_others_are_left_alone() -> None:
    plain = parse_node(FILE)
    assert node(LOG="debug", LOG_FORMAT="json", PORT_7401_TCP="tcp://10.0.0.1:7401", SERVICE_HOST="10.0.0.1") == plain
    assert parse_node(FILE, env={"PATH": "/bin", "XZMCACHE_NODE_ID": "x"}) == plain


def test_a_variable_that_means_two_groups_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"one that means groups\.a-b\.budget and groups\.a_b\.budget"):
        parse_node("groups: {a-b: {}, a_b: {}}", env={"ZMCACHE_GROUPS_A_B_BUDGET": "1MiB"})


def test_a_variable_below_something_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(ConfigError, match="ZMCACHE_NODE_ID: expected a mapping of settings at node, found 5"):
        parse_node("node: 5\ngroups: {i: {}}", env={"ZMCACHE_NODE_ID": "x"})
    with pytest.raises(ConfigError, match="groups: expected a mapping of settings, found 5"):
        parse_node("groups: 5", env={"ZMCACHE_NODE_ID": "x"})
