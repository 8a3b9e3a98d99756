"""Looks at a cluster, made by hand: what `zmcache.cli.cluster.Cluster` would have seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zmcache.cli.cluster import Seen, View, suspecting
from zmcache.core.ring import SERVING, Member

REST = {"uptime_s": 1000.0, "serving": 1.0, "handover.under_way": 0.0, "doubting": 0.0}


def view(revision: int = 7, digest: int = 1, **nodes: Mapping[str, Any] | None) -> View:
    """Each node by its id: None where it does not answer, else what its figures have beside or in place of `REST`; ``state`` and ``digest`` are
    its own.
    """
    told = {node_id: None if given is None else REST | dict(given) for node_id, given in nodes.items()}
    figures = {node_id: one for node_id, one in told.items() if one is not None}
    seen = {}
    for at, (node_id, one) in enumerate(told.items()):
        state = SERVING if one is None else one.pop("state", SERVING)
        own = 0 if one is None else one.pop("digest", digest)
        member = Member(node_id, f"tcp://127.0.0.1:{7401 + at}", state=state)
        seen[node_id] = Seen(member, 1 / len(told), one, own, suspecting(node_id, figures))
    return View(revision, digest, seen)
