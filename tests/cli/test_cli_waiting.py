"""Waiting for nodes to leave, to begin anew and to come to rest, against a cluster that is seen as a script says."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from rich.console import Console
from views import view

from zmcache.cli.cluster import View
from zmcache.cli.ending import Ended
from zmcache.cli.progress import Progress
from zmcache.cli.waiting import Waiting
from zmcache.errors import PeerUnavailable, RequestError, ZmcacheError


class Script:
    """Each look is the next of ``views``, the last one for ever; None: nobody answers."""

    def __init__(self, *views: View | None, refusal: ZmcacheError | None = None) -> None:
        self.views, self.refusal = list(views), refusal
        self.asked: list[tuple[str, bool]] = []

    async def look(self) -> View:
        found = self.views.pop(0) if len(self.views) > 1 else self.views[0]
        if found is None:
            raise PeerUnavailable("nobody")
        return found

    async def ask_to_leave(self, node_id: str, *, anew: bool) -> None:
        self.asked.append((node_id, anew))
        if self.refusal is not None:
            raise self.refusal


def outcome(
    script: Script, wait: Callable[[Waiting], Coroutine[Any, Any, object]], timeout_s: float = 30.0
) -> tuple[str, str]:
    """What is said at the end, and what was said until then."""
    out = io.StringIO()

    async def main() -> str:
        with Progress(Console(file=out)) as progress:
            return str(await wait(Waiting(script, progress, timeout_s)))  # type: ignore[arg-type]

    try:
        return asyncio.run(main()), out.getvalue()
    except Ended as error:
        return f"Error {error.exit_code}: {error.message}", out.getvalue()


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmcache.cli.waiting._PAUSE_S", 0.0)


LEAVING = {
    "state": "leaving", "handover.under_way": 1.0,
    "handover.keys": 900.0, "handover.keys_now": 500.0, "handover.bytes_now": 2048.0,
}  # fmt: skip


def test_a_node_that_is_gone_after_it_has_said_that_it_handed_over_has_left() -> None:
    before = {"handover.keys": 400.0, "handover.bytes": 1024.0}
    after = {"state": "leaving", "handed_over": 1.0, "handover.keys": 1000.0, "handover.bytes": 3072.0}
    script = Script(view(a={}, b=before), view(a={}, b=before), view(a={}, b=LEAVING), view(a={}, b=after), view(a={}))
    last, said = outcome(script, lambda waiting: waiting.leave("b"))
    assert last == "b has left; handed over: 600 keys, 2KiB"
    assert said.splitlines() == ["b is serving", "b is leaving: handed over 500 keys, 2KiB"]
    assert script.asked == [("b", False)]


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (Script(view(a={}, b={}), view(a={}, b=LEAVING), view(a={})), "Error 1: b has left, and may not have handed over all that it held"),
        (Script(view(a={}, c={})), "Error 1: there is no node 'b' in the ring; there are: a, c"),
        (Script(view(0, a={}, b={})), "Error 1: b cannot leave: the members are a fixed list"),
        (
            Script(view(a={}, b=None), refusal=PeerUnavailable("no answer")),
            "Error 1: b cannot be asked to leave: no answer",
        ),
        (Script(view(a={}, b={}), refusal=RequestError("a program's")), "Error 2: b cannot be asked to leave: a program's"),
        (Script(view(a={}, b={}), view(a={}, b=LEAVING)), "Error 1: b has not left after 50ms: b is leaving, and goes on"),
        (Script(view(a={}, b={}), view(a={}, b=None)), "Error 1: b does not answer any more, but after 50ms it is still in the ring"),
        (Script(view(b={}), view(b=LEAVING), None), "b has left; it was the last one, and nobody holds what it held"),
    ],
)  # fmt: skip
def test_what_comes_of_a_leave_is_said(script: Script, said: str) -> None:
    assert outcome(script, lambda waiting: waiting.leave("b"), timeout_s=0.05)[0].startswith(said)


def test_a_node_is_back_when_it_is_a_new_one_and_serves() -> None:
    script = Script(
        view(a={}, b={}),
        view(a={}, b={}),  # it has not begun to leave
        view(a={}, b={"state": "leaving", "handed_over": 1.0}),
        None,
        view(a={}),
        view(a={}, b={"uptime_s": 0.0, "state": "joining", "serving": 0.0}),
        view(a={}, b={"uptime_s": 0.0, "serving": 0.0}),  # it is said to serve, and does not yet
        view(a={}, b={"uptime_s": 0.0}),
    )
    last, said = outcome(script, lambda waiting: waiting.restart("b"))
    assert last.startswith("b serves again, after 0.")
    assert script.views == [view(a={}, b={"uptime_s": 0.0})]
    assert said.splitlines() == [
        "b is serving",
        "b is leaving",
        "b is not in the ring",
        "b is joining",
        "b is serving",
    ]


def test_a_node_that_is_back_without_having_handed_over_is_said_to_unless_there_was_nobody_to_hand_over_to() -> None:
    back = {"uptime_s": 0.0}
    script = Script(view(a={}, b={}), view(a={}, b=LEAVING), view(a={}), view(a={}, b=back))
    last, _ = outcome(script, lambda waiting: waiting.restart("b"))
    assert last.startswith("Error 1: b serves again, and may not have handed over all that it held before")
    for script in (Script(view(b={}), None, view(b=back)), Script(view(0, a={}, b={}), view(0, a={}, b=back))):
        assert outcome(script, lambda waiting: waiting.restart("b"))[0].startswith("b serves again, after 0.")
    assert script.asked == [("b", True)]


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (view(a={}), "it is not in the ring and does not answer"),
        (view(a={}, b=None), "it is in the ring and does not answer"),
        (view(a={}, b={}), "it is in the ring and answers"),  # the one that was there before
    ],
)
def test_a_node_that_does_not_come_back_is_said_to(last: View, said: str) -> None:
    script = Script(view(a={}, b={}), last)
    assert outcome(script, lambda waiting: waiting.restart("b"), timeout_s=0.05)[0] == (
        f"Error 1: b does not serve again after 50ms: {said}; see its log"
    )


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (view(a={}, b=None), "no answer from b"),
        (view(a={"state": "joining"}, b={}), "not serving: a"),
        (view(a={}, b={"digest": 5}), "not at the newest ring: b"),
        (view(a={"handover.under_way": 1.0}, b={"doubting": 1.0}), "handing over: a, b"),
        (view(a={"peer.b.state": 0.0}, b={"peer.a.state": 1.0}), "not used by all others: b"),
    ],
)
def test_a_cluster_that_does_not_come_to_rest_is_said_to_and_why(seen: View, why: str) -> None:
    calm = view(a={}, b={})
    assert outcome(Script(seen, calm, seen), lambda waiting: waiting.rest("waiting"), 0.05)[0] == (
        f"Error 1: waiting, but not after 50ms: {why}"
    )
    script = Script(seen, calm, calm)
    assert not outcome(script, lambda waiting: waiting.rest("waiting"))[0].startswith("Error")
    assert script.views == [calm]
