"""etcd3 becomes importable and the host program does not notice. Each test is a program of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest


def run(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(program)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_neither_etcd3_nor_grpc() -> None:
    run(
        """
        import sys
        import zmcache.discovery, zmcache.discovery.etcd
        assert not {"etcd3", "grpc", "google.protobuf"} & set(sys.modules), "loaded too early"
        """
    )


HOST = """
    import os
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    def hosts_own(name):
        file = descriptor_pb2.FileDescriptorProto(name=name, package="etcdserverpb", syntax="proto3")
        message = file.message_type.add(name="RangeRequest")
        message.field.add(name="mine", number=1, type=9, label=1)
        return file

    pool = descriptor_pool.Default()
    pool.AddSerializedFile(hosts_own("rpc.proto").SerializeToString())
    environment = dict(os.environ)
"""


def test_a_host_with_a_proto_of_the_same_name_keeps_its_own_and_etcd3_works() -> None:
    run(
        HOST
        + """
    from zmcache.discovery.etcd.etcd3_import import load_etcd3
    etcd3 = load_etcd3()
    request = etcd3.etcdrpc.RangeRequest(key=b"k")
    assert etcd3.etcdrpc.RangeRequest.FromString(request.SerializeToString()).key == b"k"
    theirs = pool.FindMessageTypeByName("etcdserverpb.RangeRequest")
    assert [field.name for field in theirs.fields] == ["mine"]
    for name in ("kv.proto", "auth.proto"):
        try:
            pool.FindFileByName(name)
        except KeyError:
            continue
        raise AssertionError(name + " is in the default pool")
    assert dict(os.environ) == environment
    assert load_etcd3() is etcd3
    import etcd3 as imported_by_the_host
    assert imported_by_the_host is etcd3
    """
    )


def test_an_etcd3_that_the_host_imported_is_used_as_it_is() -> None:
    run(
        """
        import sys, types
        theirs = sys.modules["etcd3"] = types.ModuleType("etcd3")
        sys.modules["etcd3.etcdrpc.rpc_pb2"] = types.ModuleType("etcd3.etcdrpc.rpc_pb2")
        from zmcache.discovery.etcd.etcd3_import import load_etcd3
        assert load_etcd3() is theirs
        """
    )


def test_many_threads_may_ask_at_once() -> None:
    run(
        """
        from concurrent.futures import ThreadPoolExecutor
        from zmcache.discovery.etcd.etcd3_import import load_etcd3
        with ThreadPoolExecutor(8) as pool:
            assert len({id(found) for found in pool.map(lambda _: load_etcd3(), range(32))}) == 1
        """
    )


@pytest.mark.parametrize("hidden", ["etcd3", "grpc"])
def test_what_is_not_installed_is_named_and_nothing_half_imported_stays(hidden: str) -> None:
    run(
        f"""
        import sys

        class Hide:
            def find_spec(self, name, path=None, target=None):
                if name.partition(".")[0] == {hidden!r}:
                    raise ModuleNotFoundError("No module named " + repr(name), name=name)

        from zmcache.discovery.etcd.etcd3_import import load_etcd3
        from zmcache.errors import DiscoveryError
        sys.meta_path.insert(0, Hide())
        try:
            load_etcd3()
        except DiscoveryError as exc:
            assert {hidden!r} in str(exc), exc
        else:
            raise AssertionError("it was hidden")
        assert not [name for name in sys.modules if name.startswith("etcd3")]
        sys.meta_path.pop(0)
        load_etcd3()
        """
    )
