"""Plain access to an etcd, as a person with etcdctl would have it, and where zmcache keeps a node there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from zmcache.discovery.etcd.etcd3_import import load_etcd3


@contextlib.contextmanager
def etcd_client(endpoint: str) -> Iterator[Any]:
    """A plain etcd3 client, as a person with etcdctl would act."""
    host, _, port = endpoint.rpartition(":")
    client = load_etcd3().client(host=host, port=int(port), timeout=5)
    try:
        yield client
    finally:
        client.close()


def key_of(cluster: str, node_id: str) -> str:
    return f"/zmcache/{cluster}/nodes/{node_id}"
