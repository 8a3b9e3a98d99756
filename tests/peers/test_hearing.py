"""Which answers a node's hot copies may be kept of as long as the owner tells of them: each of these is a reason why not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from zmcache.core.wire import FROM_HOT, FROM_LOADER, FROM_OWNER, IS_NONE, NO_SUCH_KEY, NOT_OWNER
from zmcache.peers.hearing import Promised


def told(**but: Any) -> bool:
    """Whether anybody tells of what was answered, were it not for ``but``."""
    owner = object()
    session = SimpleNamespace(life=but.get("life", 3), is_good=but.get("is_good", True), channel=owner)
    mesh = SimpleNamespace(owner_channel=lambda _: but.get("owner", owner))
    batch = SimpleNamespace(channel=but.get("asked", owner))
    answer = SimpleNamespace(flags=but.get("flags", 0))
    status = but.get("status", FROM_OWNER)
    return Promised(session, 3).teller(mesh, batch, "k", answer, status) is session  # type: ignore[arg-type]


def test_what_an_owner_answers_it_tells_of() -> None:
    assert told()
    assert told(status=FROM_LOADER)


@pytest.mark.parametrize(
    "but",
    [
        {"life": 4},
        {"is_good": False},
        {"owner": object()},
        {"owner": None},
        {"asked": object()},
        {"flags": NOT_OWNER},
        {"status": FROM_HOT},
        {"status": NO_SUCH_KEY},
        {"status": IS_NONE},
    ],
    ids=[
        "something was lost meanwhile", "it has been silent", "another owns the key now", "this node does", "another was asked in the end",
        "it is not the owner by its own ring", "it was a copy", "who holds nothing", "who holds nothing else",
    ],
)  # fmt: skip
def test_but_not(but: dict[str, Any]) -> None:
    assert not told(**but)
