"""What a node owes those who want to hear of its keys, and what it does about those who do not listen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mesh_fixture import Cluster, mesh_test

from zmcache.core import wire
from zmcache.core.wire import FOLLOWING, OLD_FLAG, Limits
from zmcache.errors import Busy
from zmcache.node import followers as module
from zmcache.node.followers import SILENT_S, Followers

PEER = b"peer"


class Heard:
    """A node's followers whose news comes here."""

    def __init__(self, cluster: Cluster) -> None:
        self.followers: Followers = cluster.nodes["a"]._parts.followers
        self.group = cluster.group("a")
        self.news: list[wire.News] = []
        self.followers._send = self._take

    def _take(self, peer: bytes, frame: bytes) -> bool:
        news = wire.decode(frame, Limits())
        assert isinstance(news, wire.News)
        self.news.append(news)
        return True

    def following(self, seen: int, incarnation: int | None = None) -> wire.News:
        incarnation = self.followers._incarnation if incarnation is None else incarnation
        header = wire.header(FOLLOWING, 7, (0, 0))
        frame = self.followers.following(PEER, wire.Following(*header, incarnation, seen))
        assert frame is not None
        told = wire.decode(frame, Limits())
        assert isinstance(told, wire.News)
        return told

    def rows(self) -> list[tuple[Any, ...]]:
        return [
            row
            for news in self.news
            for row in zip(news.keys, news.values, news.value_flags, news.skipped, strict=True)
        ]


async def turn() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_who_leaves_news_unread_is_cut_off_and_told_why_when_it_speaks_again() -> None:
    async def test(cluster: Cluster) -> None:
        heard = Heard(cluster)
        assert heard.followers.watch(PEER, heard.group, ["k"])
        await heard.group.set("k", b"1")
        await turn()
        clock = heard.followers._clock
        heard.followers._clock = lambda: clock() + SILENT_S + 1
        heard.followers._sweep()
        assert len(heard.followers) == 0
        assert not heard.group.audience
        with pytest.raises(Busy, match="unread"):
            heard.following(0)
        assert heard.following(0).number == 0

    mesh_test(test, "a", loads=False)


def test_while_too_much_is_unseen_changes_wait_the_latest_of_each_key() -> None:
    async def test(cluster: Cluster) -> None:
        heard = Heard(cluster)
        heard.followers.watch(PEER, heard.group, ["k"])
        for n in range(module._UNSEEN_MOST + 40):
            await heard.group.set("k", b"%d" % n)
            await turn()
        assert len(heard.news) == module._UNSEEN_MOST
        told = heard.following(heard.news[-1].number)
        # What had waited has gone out before the answer, in one.
        key, value, _, skipped = heard.rows()[-1]
        assert (key, value) == ("k", b"%d" % (module._UNSEEN_MOST + 39))
        assert skipped > 30
        assert told.number == heard.news[-1].number == module._UNSEEN_MOST + 1

    mesh_test(test, "a", loads=False)


def test_of_more_copies_than_one_may_keep_the_first_are_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT_MOST", 3)

    async def test(cluster: Cluster) -> None:
        heard = Heard(cluster)
        heard.followers.keep(PEER, heard.group, [f"k{n}" for n in range(5)])
        await turn()
        assert [(key, flags) for key, _, flags, _ in heard.rows()] == [("k0", OLD_FLAG), ("k1", OLD_FLAG)]
        await heard.group.set("k2", b"1")
        await heard.group.set("k2", b"2")
        await turn()
        assert [key for key, *_ in heard.rows()] == ["k0", "k1", "k2"], "told once"

    mesh_test(test, "a", loads=False)


def test_there_are_only_so_many_who_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FOLLOWERS_MOST", 1)

    async def test(cluster: Cluster) -> None:
        heard = Heard(cluster)
        assert heard.followers.watch(PEER, heard.group, ["k"])
        assert not heard.followers.watch(b"another", heard.group, ["k"])
        heard.followers.keep(b"another", heard.group, ["k"])
        header = wire.header(FOLLOWING, 7, (0, 0))
        assert heard.followers.following(b"another", wire.Following(*header, 1, 0)) is None

    mesh_test(test, "a", loads=False)


def test_when_the_ring_moves_keys_all_who_follow_are_to_begin_anew() -> None:
    async def test(cluster: Cluster) -> None:
        heard = Heard(cluster)
        heard.followers.watch(PEER, heard.group, ["k"])
        await turn()
        await cluster.start("b")
        assert (heard.news[-1].flags & wire.ALL_KEYS, heard.news[-1].group) == (wire.ALL_KEYS, "")
        assert len(heard.followers) == 0

    mesh_test(test, "a", loads=False)


def test_a_value_of_none_and_a_delete_are_told_as_what_they_are() -> None:
    async def test(cluster: Cluster) -> None:
        heard = Heard(cluster)
        heard.followers.watch(PEER, heard.group, ["k"])
        await turn()
        await heard.group.set("k", None)
        await turn()
        await heard.group.delete("k")
        await turn()
        heard.followers.unwatch(PEER, heard.group, ["k"])
        await heard.group.set("k", b"unheard")
        await turn()
        assert [flags for _, _, flags, _ in heard.rows()] == [wire.GONE_FLAG, wire.NONE_FLAG, wire.GONE_FLAG]

    mesh_test(test, "a", loads=False)
