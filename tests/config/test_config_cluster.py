"""Cluster files: one node's config out of them, and what is refused between their nodes."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmcache.config import check, load_cluster, load_node, parse_cluster, parse_node
from zmcache.errors import ConfigError

TWO = (
    "nodes: [{id: b, listen: 'tcp://h:1', weight: 2}, {id: a, listen: 'tcp://h:2'}]\ngroups: {items: {budget: 1MiB}}\n"
)


def test_without_etcd_every_node_knows_all_of_them_in_the_files_order() -> None:
    cluster = parse_cluster(TWO)
    config = cluster.node_config("a")
    assert config.node.id == "a"
    assert config.discovery.etcd is None
    assert [(m.node_id, m.endpoint, m.weight) for m in config.discovery.static or ()] == [
        ("b", "tcp://h:1", 2.0), ("a", "tcp://h:2", 1.0),
    ]  # fmt: skip
    assert config.groups == cluster.groups


def test_an_embedded_etcd_is_where_the_caller_says() -> None:
    cluster = parse_cluster(TWO + "etcd: embedded")
    assert cluster.etcd == "embedded"
    assert cluster.node_config("a", ["h:9"]).discovery.etcd == ("h:9",)
    with pytest.raises(ConfigError, match="etcd: expected to be told where etcd is"):
        cluster.node_config("a")


def test_listed_etcd_servers_are_used_as_they_are() -> None:
    assert parse_cluster(TWO + "etcd: ['h:9', 'i:9']").node_config("a").discovery.etcd == ("h:9", "i:9")


def test_the_lease_of_a_cluster_file_is_that_of_its_nodes() -> None:
    discovery = parse_cluster(TWO + "etcd: ['h:9']\nlease: 3s").node_config("a").discovery
    assert (discovery.etcd, discovery.lease_s) == (("h:9",), 3.0)
    with pytest.raises(ConfigError, match=r"lease: expected .*, found '1ms'"):
        parse_cluster(TWO + "lease: 1ms")


def test_a_node_is_picked_by_argument_or_variable_and_else_all_are_named() -> None:
    assert parse_node(TWO, node_id="b").node.id == "b"
    assert parse_node(TWO, env={"ZMCACHE_NODE_ID": "a"}).node.id == "a"
    assert parse_node(TWO, env={"ZMCACHE_NODE_ID": "a"}, node_id="b").node.id == "b"
    with pytest.raises(
        ConfigError, match=r"f\.yaml: nodes: expected to be told which node of this cluster file to run \(b, a\)"
    ):
        parse_node(TWO, file="f.yaml")
    with pytest.raises(ConfigError, match=r"f\.yaml: nodes: expected the id of a node \(b, a\), found 'c'"):
        parse_node(TWO, file="f.yaml", node_id="c")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("nodes: [{id: a, listen: 'tcp://h:1'}, {id: a, listen: 'tcp://h:2'}]",
         "nodes[1].id: expected an id of its own, found 'a', which nodes[0] has"),
        ("nodes: [{id: a}, {id: b}]",
         "nodes[1].listen: expected an endpoint of its own, found tcp://127.0.0.1:7401, which nodes[0] has"),
        ("nodes: [{id: a, weigth: 1}]", "nodes[0].weigth: expected `weight`, found an unknown name"),
        ("nodes: [{id: a, weight: 0}]", "nodes[0].weight: expected a weight from 0.01 to 100 (1.0 is one ordinary node), found 0"),
        ("nodes: []", "nodes: expected a list, found an empty one"),
        ("nodes: 5", "nodes: expected a list, found 5"),
        ("nodes: [{id: a, listen: 'tcp://h:0'}]",
         "nodes[0].listen: expected a port, since without etcd the others must know it, found 0"),
        ("nodes: [{listen: 'tcp://h:0'}]\netcd: embedded",
         "nodes[0].id: expected an id, since port 0 gives none to make it from, found nothing"),
        ("nodes: [{id: a}]\netcd: built in", "etcd: expected `embedded` or a list of host:port, found 'built in'"),
        ("nodes: [{id: a}]\nnode: {}", "node: expected `nodes`, found an unknown name"),
    ],
)  # fmt: skip
def test_nodes_that_cannot_stand_beside_each_other_are_refused(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_cluster(text + "\ngroups: {items: {}}", file="c.yaml")
    assert str(caught.value) == f"c.yaml: {line}"


def test_two_nodes_may_both_ask_the_system_for_a_port_when_etcd_tells_them() -> None:
    text = "etcd: embedded\nnodes: [{id: a, listen: 'tcp://h:0'}, {id: b, listen: 'tcp://h:0'}]\ngroups: {items: {}}"
    assert [node.id for node in parse_cluster(text).nodes] == ["a", "b"]


def test_a_node_file_is_no_cluster_file(tmp_path: Path) -> None:
    (tmp_path / "n.yaml").write_text("groups: {items: {}}")
    with pytest.raises(ConfigError, match=r"expected `nodes` .*: is it a node file"):
        load_cluster(tmp_path / "n.yaml", env={})


def test_check_sums_up_a_file_and_never_shows_a_database_url(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(TWO + "etcd: embedded")
    assert check(path, env={}) == (
        f"{path}: valid. Cluster zmcache: 2 nodes, etcd embedded, 1 group\n"
        "  node b at tcp://h:1, weight 2\n  node a at tcp://h:2, weight 1\n  group items: 1MiB, s3-fifo, no expiry, no loader"
    )
    sql = '{url: "postgresql://u:hunter2@h/d", query: "SELECT k, v FROM t WHERE k IN :keys"}'
    path.write_text(f"node: {{listen: 'tcp://h:0'}}\ngroups: {{items: {{ttl: 90s, loader: {{sql: {sql}}}}}}}")
    text = check(path, env={})
    assert "hunter2" not in text
    assert "node (named when bound) at tcp://h:0" in text
    assert "expires after 1m30s, loads from a database" in text
    path.write_text("groups: {items: {budget: 1}}")
    with pytest.raises(ConfigError, match="budget"):
        check(path, env={})


def test_check_looks_at_a_cluster_file_whole_even_where_a_variable_names_a_node(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(TWO)
    assert "2 nodes" in check(tmp_path / "c.yaml", env={"ZMCACHE_NODE_ID": "a"})
    assert load_node(tmp_path / "c.yaml", env={"ZMCACHE_NODE_ID": "a"}).node.id == "a"
