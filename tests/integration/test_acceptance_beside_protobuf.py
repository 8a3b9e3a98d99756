"""A program that uses today's protobuf for itself embeds a node whose etcd client was generated long ago: neither disturbs the other."""

from __future__ import annotations

from pathlib import Path

from counting_node import write_node
from processes import run_python

from zmcache.embedded_etcd import EmbeddedEtcd

HOST = """
import asyncio, sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, struct_pb2, __version__

# A message of the host's own, in a file of the name that etcd3's has, in the default pool.
file = descriptor_pb2.FileDescriptorProto(name="rpc.proto", package="host", syntax="proto3")
field = file.message_type.add(name="Order").field.add(name="id", number=1, type=5, label=1)
pool = descriptor_pool.Default()
pool.Add(file)
Order = message_factory.GetMessageClass(pool.FindMessageTypeByName("host.Order"))

import zmcache

async def main():
    async with zmcache.Node.from_yaml(sys.argv[1]) as node:
        assert await node.group("items").get("k") == b"value of k"
        assert [m.node_id for m in node.ring().members] == ["host"]
        assert Order.FromString(Order(id=7).SerializeToString()).id == 7
        struct = struct_pb2.Struct()
        struct.update({"a": 1})
        assert struct["a"] == 1
        print("both work with protobuf", __version__)

asyncio.run(main())
"""


def test_an_application_that_imported_protobuf_before_embeds_a_node_with_etcd(
    tmp_path: Path, shared_etcd: EmbeddedEtcd
) -> None:
    file = write_node(tmp_path, "host", f'{{etcd: ["{shared_etcd.endpoint}"]}}')
    (said,) = run_python(HOST, str(file), folder=tmp_path)
    assert said.startswith("both work with protobuf")
