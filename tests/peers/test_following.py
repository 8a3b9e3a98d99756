"""A session with one node: what is relied on because of it, and when nothing may be any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from eventually import eventually

from zmcache.core import wire
from zmcache.core.wire import News
from zmcache.errors import DeadlineExceeded
from zmcache.peers.channel import State
from zmcache.peers.following import BEAT_S, RESTS_S, SILENCE_S, Session


class Node:
    """A channel, and the node at its other end, whose answers a test gives."""

    name, state = "b", State.UP
    on_news: Callable[[News], None] | None = None
    on_lost: Callable[[], None] | None = None

    def __init__(self) -> None:
        self.now_s = 100.0
        self.asked: list[asyncio.Future[Any]] = []

    def query(self, kind: int, deadline_s: float, group: str = "", **how: Any) -> asyncio.Future[Any]:
        assert kind == wire.FOLLOWING
        self.asked.append(asyncio.get_running_loop().create_future())
        return self.asked[-1]

    async def answer(self, number: int, incarnation: int = 1) -> None:
        """The last question."""
        self.asked[-1].set_result(news(number, incarnation))
        await asyncio.sleep(0)

    async def asked_again(self) -> None:
        count = len(self.asked)
        await eventually(lambda: len(self.asked) > count)


class Group:
    """A `Listener` that counts."""

    def __init__(self) -> None:
        self.old: list[str] = []
        self.lost = self.heard = self.emptied = 0

    def on_news(self, session: Session, news: News) -> None:
        self.old += news.keys

    def on_old(self, session: Session) -> None:
        self.emptied += 1

    def on_lost(self, session: Session) -> None:
        self.lost += 1

    def on_heard(self, session: Session) -> None:
        self.heard += 1


def news(number: int, incarnation: int = 1, *keys: str) -> News:
    header = wire.header(wire.NEWS, 0, (0, 0), group="items")
    count = len(keys)
    return News(
        *header,
        incarnation,
        number,
        [*keys],
        [None] * count,
        [-1] * count,
        [0] * count,
        [wire.OLD_FLAG] * count,
        [0] * count,
    )


def session_test(test: Callable[[Node, Group, Session], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        node, group = Node(), Group()
        session = Session(node, {"items": [group]}, lambda: node.now_s)  # type: ignore[arg-type]
        session.relied_on_by(group)
        await test(node, group, session)
        session.close()

    asyncio.run(main())


def test_what_is_asked_before_the_first_answer_may_be_kept_where_nothing_was_told_before_it() -> None:
    async def test(node: Node, group: Group, session: Session) -> None:
        life = session.life
        assert session.begins
        assert not session.is_good
        await node.answer(0)
        assert session.is_good
        assert session.life == life
        assert node.on_news is not None
        node.on_news(news(1, 1, "k"))
        assert (group.old, group.lost) == (["k"], 0)

    session_test(test)


@pytest.mark.parametrize("what", ["something was told", "news comes before it", "there is no answer"])
def test_and_not_where_something_may_have_been(what: str) -> None:
    async def test(node: Node, group: Group, session: Session) -> None:
        life = session.life
        if what == "something was told":
            await node.answer(3)
        elif what == "news comes before it":
            assert node.on_news is not None
            node.on_news(news(1, 1, "k"))
            await node.answer(0)
        else:
            node.asked[-1].set_exception(DeadlineExceeded("no answer"))
            await asyncio.sleep(0)
            assert not session.begins
            assert not session.is_good
        assert session.life != life
        assert group.old == []

    session_test(test)


def test_a_silence_in_which_the_node_may_have_forgotten_who_follows_is_a_loss_though_it_has_told_nothing_since() -> (
    None
):
    async def test(node: Node, group: Group, session: Session) -> None:
        await node.answer(0)
        node.now_s += SILENCE_S + 1
        assert not session.is_good
        await node.asked_again()
        await node.answer(0)
        assert session.is_good
        assert group.lost == 0, "in so short a time nobody is forgotten"
        node.now_s += 30
        await node.asked_again()
        await node.answer(0)
        assert group.lost == 1

    session_test(test)


def test_a_node_that_is_not_needed_is_not_asked_and_nothing_is_kept_of_it() -> None:
    async def test(node: Node, group: Group, session: Session) -> None:
        await node.answer(0)
        node.now_s += RESTS_S
        await eventually(lambda: session.rests)
        assert group.lost == 1
        assert not session.is_good
        count = len(node.asked)
        await asyncio.sleep(2 * BEAT_S)  # nothing is to happen
        assert len(node.asked) == count
        session.needed_s = node.now_s
        session.wake()
        assert len(node.asked) == count + 1
        await node.answer(0)
        assert session.is_good

    session_test(test)


def test_nobody_asks_a_node_that_is_no_member_any_more() -> None:
    async def test(node: Node, group: Group, session: Session) -> None:
        await node.answer(0)
        node.state = State.CLOSED
        assert node.on_lost is not None
        node.on_lost()
        await eventually(lambda: session.rests)
        assert group.lost == 1
        assert len(node.asked) == 1

    session_test(test)


def test_an_answer_of_before_something_was_lost_counts_nothing() -> None:
    async def test(node: Node, group: Group, session: Session) -> None:
        await node.answer(0)
        assert node.on_news is not None
        node.on_news(news(1, 1, "k"))
        await node.asked_again()
        # In one turn: the answer, and that keys have other owners, after which the node counts from nothing.
        node.asked[-1].set_result(news(1))
        node.on_news(news(2)._replace(group="", flags=wire.ALL_KEYS))
        await asyncio.sleep(0)
        assert group.lost == 1
        assert not session.is_good
        assert not node.asked[-1].done(), "it is asked again at once"
        await node.answer(0)
        assert session.is_good
        node.on_news(news(2, 1, "k"))  # 1 was lost
        assert not session.is_good

    session_test(test)
