"""Node files: what a good one becomes, and the one line that each bad one gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmcache.config import ImportLoader, SqlLoader, load_node, node_id_from, parse_node
from zmcache.core.ring import Member
from zmcache.core.wire import Limits
from zmcache.errors import ConfigError

GROUPS = "groups: {items: {}}\n"


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_node(text, file="node.yaml")
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("node.yaml: ")
    return line.removeprefix("node.yaml: ")


def test_a_file_with_one_empty_group_is_a_node_alone_on_loopback_with_the_defaults() -> None:
    config = parse_node(GROUPS)
    assert (config.cluster, config.node.listen, config.node.id) == ("zmcache", "tcp://127.0.0.1:7401", "127.0.0.1:7401")
    assert config.discovery.etcd is None
    assert config.discovery.static == (Member("127.0.0.1:7401", "tcp://127.0.0.1:7401"),)
    assert config.limits == Limits()
    group = config.groups["items"]
    assert (group.budget_bytes, group.ttl_s, group.negative_ttl_s, group.loader) == (64 * 2**20, None, 5.0, None)


def test_every_setting_arrives_in_bytes_and_seconds() -> None:
    config = parse_node("""
cluster: c
node: {id: n, listen: "tcp://0.0.0.0:1", advertise: "tcp://host:2", weight: 2, zone: z, drain_timeout: 1s, start_timeout: 500ms,
       state_dir: /s, busy_poll: 150us}
discovery: {etcd: ["a:1", "[::1]:2"], lease: 5s}
limits: {key: 2KiB, value: 1KiB, keys: 10, message: 1MiB, inflight_bytes: 2MiB, inflight_requests: 5}
groups:
  items: {budget: 1MiB, ttl: 1m, ttl_jitter: 0, negative_ttl: 0, load_timeout: 2s, max_loads: 3, max_queued: 4, hot_share: 0.1,
          item_share: 1, policy: s3-fifo, hot_ttl: 2s, moved_ttl: 0s, loader: {import: "a.b:c.d", batch: true, max_batch: 7}}
  more: {loader: {sql: {url: "sqlite:///x.db", query: "SELECT k, v FROM t WHERE k IN :keys"}}}
  single: {loader: {import: "a:b"}}
""")
    node = config.node
    assert (node.endpoint, node.weight, node.drain_timeout_s, node.start_timeout_s) == ("tcp://host:2", 2.0, 1.0, 0.5)
    assert (str(node.state_dir), node.busy_poll_s) == ("/s", 0.00015)
    assert (config.discovery.etcd, config.discovery.lease_s) == (("a:1", "[::1]:2"), 5.0)
    assert config.limits == Limits(
        key_bytes=2048, value_bytes=1024, keys=10, message_bytes=2**20, inflight_bytes=2**21, inflight_requests=5
    )
    items = config.groups["items"]
    assert items.loader == ImportLoader(target="a.b:c.d", batch=True, max_batch=7)
    assert (items.ttl_s, items.ttl_jitter, items.moved_ttl_s, items.hot_share) == (60.0, 0.0, 0.0, 0.1)
    assert (items.item_share, items.policy) == (1.0, "s3-fifo")
    assert isinstance(config.groups["more"].loader, SqlLoader)
    assert config.groups["single"].loader == ImportLoader(target="a:b")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "expected a mapping of settings, found nothing"),
        ("- a", "expected a mapping of settings, found a list"),
        ("groups: {items: {}", "expected YAML, found: expected ',' or '}', but got '<stream end>' (line 1, column 19)"),
        ("cluster: !!timestamp x", "expected YAML, found: 'NoneType' object has no attribute 'groupdict'"),
        ("a: " + "[" * 5000, "expected YAML, found more levels than are read"),
        ("a: b\n\tc: d", "expected YAML, found: found character '\\t' that cannot start any token (line 2, column 1)"),
        ("cluster: x", "expected `groups`, found no such setting"),
        ("groups: {}", "groups: expected at least one name with its settings, found none"),
        ("groups: 3", "groups: expected a mapping of settings, found 3"),
        ("grops: {}", "grops: expected `groups`, found an unknown name"),
        ("groups: {items: {budgt: 1MiB}}", "groups.items.budgt: expected `budget`, found an unknown name"),
        ("groups: {7: {}}", "groups: expected a name of letters, digits, . _ and -, at most 100, found 7"),
        ("groups:\n  items: {}\n  items: {}", "groups.items: expected each name once, found it in line 2 and in line 3"),
        ("groups:\n  items:\n    ttl: 1s\n    ttl: 2s", "groups.items.ttl: expected each name once, found it in line 3 and in line 4"),
        ("groups: {items: {budget: lots}}",
         "groups.items.budget: expected a size such as 64MiB or 1048576 (bytes), found 'lots'"),
        ("groups: {items: {budget: 1KiB}}", "groups.items.budget: expected a size of at least 4KiB, found '1KiB'"),
        ("groups: {items: {ttl: 0}}", "groups.items.ttl: expected a duration above 0, found 0"),
        ("groups: {items: {ttl: -1}}",
         "groups.items.ttl: expected a duration such as 1.5s, 150us, 2h30m or 30 (seconds), found -1"),
        ("groups: {items: {ttl: .nan}}",
         "groups.items.ttl: expected a duration such as 1.5s, 150us, 2h30m or 30 (seconds), found nan"),
        ("groups: {items: {ttl: .inf}}",
         "groups.items.ttl: expected a duration such as 1.5s, 150us, 2h30m or 30 (seconds), found inf"),
        ("groups: {items: {hot_share: 0.6}}", "groups.items.hot_share: expected a share from 0 to 0.125, found 0.6"),
        ("groups: {items: {ttl_jitter: .nan}}", "groups.items.ttl_jitter: expected a share from 0 to 0.5, found nan"),
        ("groups: {items: {policy: lifo}}", "groups.items.policy: expected a policy (lru, lfu, arc, sieve, s3-fifo, w-tinylfu), found 'lifo'"),
        ("groups: {items: {item_share: 1.5}}", "groups.items.item_share: expected a share from 0.01 to 1, found 1.5"),
        ("groups: {items: {budget: 8KiB, item_share: 0.05}}",
         "groups.items.item_share: expected one entry to have 512B or more, found 0.05 of 8KiB, less the part for hot copies"),
        ("groups: {items: {max_loads: 0}}", "groups.items.max_loads: expected a whole number from 1 to 1000, found 0"),
        ("groups: {items: {max_loads: true}}", "groups.items.max_loads: expected a whole number from 1 to 1000, found true"),
        ("groups: {items: {loader: {}}}", "groups.items.loader: expected either `import` or `sql`, found neither"),
        ('groups: {items: {loader: {import: "a.b"}}}',
         "groups.items.loader.import: expected an import path such as package.module:function, found 'a.b'"),
        ('groups: {items: {loader: {import: "a:b", batch: yes please}}}',
         "groups.items.loader.batch: expected true or false, found 'yes please'"),
        ('groups: {items: {loader: {import: "a:b", max_batch: 5}}}',
         "groups.items.loader: expected `batch: true` where max_batch is given, found no batch"),
        ('groups: {items: {loader: {sql: {url: "sqlite:///x"}}}}', "groups.items.loader.sql: expected `query`, found no such setting"),
        ('groups: {items: {loader: {sql: {url: "x", query: "SELECT"}}}}',
         "groups.items.loader.sql.url: expected a database URL such as sqlite:///items.db, found something else"),
        (GROUPS + "node: {weight: 0}", "node.weight: expected a weight from 0.01 to 100 (1.0 is one ordinary node), found 0"),
        (GROUPS + "node: {listen: 7401}", "node.listen: expected an endpoint such as tcp://127.0.0.1:7401, found 7401"),
        (GROUPS + "node: {listen: 'tcp://a:99999'}",
         "node.listen: expected an endpoint such as tcp://127.0.0.1:7401, found 'tcp://a:99999'"),
        (GROUPS + "node: {advertise: 'tcp://a:0'}", "node.advertise: expected an endpoint such as tcp://127.0.0.1:7401, found 'tcp://a:0'"),
        (GROUPS + "node: {listen: 'tcp://0.0.0.0:7401'}",
         "node.advertise: expected an endpoint that others can reach, since tcp://0.0.0.0:7401 binds every address, found nothing"),
        (GROUPS + "node: {id: a/b}", "node.id: expected a node id of letters, digits, . _ : and -, at most 100, found 'a/b'"),
        (GROUPS + "node: {busy_poll: 1s}", "node.busy_poll: expected a duration of at most 10ms, found '1s'"),
        (GROUPS + "discovery: {lease: 5s}", "discovery: expected `etcd` or `static`, found neither"),
        (GROUPS + 'discovery: {etcd: ["http://a:2379"]}',
         "discovery.etcd: expected a list of host:port such as [127.0.0.1:2379], found 'http://a:2379'"),
        (GROUPS + 'discovery: {etcd: "a:1"}', "discovery.etcd: expected a list of host:port such as [127.0.0.1:2379], found 'a:1'"),
        (GROUPS + "limits: {value: 9MiB}", "limits: expected `message` to hold one key and one value and 1KiB more, found a smaller one"),
        (GROUPS + "limits: {inflight_bytes: 1KiB}", "limits: expected `inflight_bytes` to hold one `message`, found less"),
    ],
)  # fmt: skip
def test_a_wrong_setting_gives_one_line_with_its_path(text: str, line: str) -> None:
    assert refusal(text) == line


@pytest.mark.parametrize(
    ("members", "line"),
    [
        ("{id: a, endpoint: 'tcp://h:1'}, {id: b, endpoint: 'tcp://h:2'}",
         "discovery.static: expected this node, 'n', among its members, found a, b"),
        ("{id: n, endpoint: 'tcp://h:1', weight: 2}",
         "discovery.static[0]: expected what `node` says of 'n' (endpoint tcp://h:1, weight 1, zone ''), found something else"),
        ("{id: n, endpoint: 'tcp://h:1'}, {id: n, endpoint: 'tcp://h:2'}",
         "discovery.static[1].id: expected an id of its own, found 'n' again"),
        ("{id: n, endpoint: 'tcp://h:1'}, {id: m, endpoint: 'tcp://h:1'}",
         "discovery.static[1].endpoint: expected an endpoint of its own, found tcp://h:1 again"),
        ("", "discovery.static: expected a list, found an empty one"),
    ],
)  # fmt: skip
def test_a_static_list_that_would_give_another_ring_is_refused(members: str, line: str) -> None:
    assert refusal(GROUPS + f"node: {{id: n, listen: 'tcp://h:1'}}\ndiscovery: {{static: [{members}]}}") == line


def test_etcd_and_static_at_once_are_refused() -> None:
    text = GROUPS + "discovery: {etcd: ['a:1'], static: [{id: a, endpoint: 'tcp://h:1'}]}"
    assert refusal(text) == "discovery: expected either `etcd` or `static`, found both"


def test_a_wrong_database_url_is_not_repeated_since_it_may_hold_a_password() -> None:
    assert "hunter2" not in refusal('groups: {i: {loader: {sql: {url: "user:hunter2@host/db", query: "IN :keys"}}}}')
    config = parse_node('groups: {i: {loader: {sql: {url: "postgresql://u:hunter2@h/db", query: "IN :keys"}}}}')
    assert "hunter2" not in repr(config)


def test_a_section_whose_lines_are_all_commented_out_means_its_defaults() -> None:
    assert parse_node("node:\nlimits:\ndiscovery:\ngroups:\n  items:\n") == parse_node(GROUPS)


def test_a_merged_mapping_may_be_overridden_but_not_repeated() -> None:
    config = parse_node("groups:\n  a: &a {budget: 1MiB, ttl: 1s}\n  b: {<<: *a, ttl: 2s}")
    assert (config.groups["b"].budget_bytes, config.groups["b"].ttl_s) == (2**20, 2.0)


def test_a_mapping_that_holds_itself_is_refused_and_ends() -> None:
    assert "expected" in refusal("groups: &g {items: *g}")


@pytest.mark.parametrize(
    "text",
    ["!!python/object/apply:os.getcwd []", "a: 2024-99-99", "x: !!int z", "{[a]: b}", "a: *b", "a: b\n---\nc: d"],
)
def test_yaml_that_is_unsafe_or_cannot_be_read_is_one_line(text: str) -> None:
    assert refusal(text).startswith("expected YAML, found: ")


def test_a_port_of_zero_leaves_the_id_to_be_made_once_it_is_bound() -> None:
    config = parse_node(GROUPS + "node: {listen: 'tcp://127.0.0.1:0'}")
    assert config.node.id == ""
    assert config.discovery.static == ()


def test_an_id_is_made_from_any_endpoint_and_fits_a_file_name() -> None:
    assert node_id_from("tcp://10.0.0.1:7401") == "10.0.0.1:7401"
    assert node_id_from("ipc:///run/a b/node.sock") == "run-a-b-node.sock"
    assert node_id_from("mem://one") == "one"
    assert node_id_from("tcp://[::1]:7401") == "1-:7401"


def test_a_state_folder_is_relative_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text(GROUPS + "node: {state_dir: state}")
    assert load_node(tmp_path / "node.yaml", env={}).node.state_dir == tmp_path / "state"


def test_etcd_servers_given_by_the_caller_replace_those_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text(GROUPS)
    assert load_node(tmp_path / "node.yaml", env={}, etcd=["h:1"]).discovery.etcd == ("h:1",)
    with pytest.raises(ConfigError, match="etcd: expected a list of host:port"):
        load_node(tmp_path / "node.yaml", env={}, etcd=["nonsense"])


def test_another_node_than_the_files_is_not_started(tmp_path: Path) -> None:
    (tmp_path / "node.yaml").write_text(GROUPS + "node: {id: a}")
    with pytest.raises(ConfigError, match=r"node\.id: expected 'b', as was asked for, found 'a'"):
        load_node(tmp_path / "node.yaml", env={}, node_id="b")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: expected a readable file, found: No such file"):
        load_node(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="expected a readable file, found: Is a directory"):
        load_node(tmp_path)
    (tmp_path / "binary").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="expected UTF-8 text, found other bytes at byte 3"):
        load_node(tmp_path / "binary")
    with pytest.raises(ConfigError, match="expected a config file, found more than"):
        load_node("/dev/zero")
