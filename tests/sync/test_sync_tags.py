"""Tags in the calls of threads."""

from __future__ import annotations

import pytest
from sync_worlds import WORLDS, opened, wait_direct

from zmcache.errors import InvalidTag


@pytest.mark.parametrize("kind", WORLDS)
def test_threads_store_with_tags_and_invalidate_them(kind: str) -> None:
    with opened(kind) as cache:
        items = cache.group("items")
        items.set("set", b"v", tags=["t"])
        assert items.add("added", b"v", tags=iter(["t"]))
        assert items.set_many({"many": b"v"}, tags={"t"}) == []
        assert items.get_or_set("made", lambda: b"v", tags=["t"]) == b"v"
        assert items.fetch_or_set("fetched", lambda: b"v", tags=["t"]).value == b"v"
        items.set("plain", b"v", tags=["another"])
        items.invalidate_tags("t")
        assert items.get_many(["set", "added", "many", "made", "fetched", "plain"]) == {"plain": b"v"}


@pytest.mark.parametrize("kind", WORLDS)
def test_a_decorated_def_takes_templates_of_tags(kind: str) -> None:
    with opened(kind) as cache:
        items = cache.group("items")
        calls: list[int] = []

        @items.cached(key="user:{user_id}", tags=["user:{user_id}", "users"])
        def user(user_id: int) -> bytes:
            calls.append(user_id)
            return b"v"

        for _ in range(2):
            user(1)
            user(2)
        items.invalidate_tags("user:1")
        user(1)
        user(2)
        assert calls == [1, 2, 1]
        user.refresh(2)
        items.invalidate_tags("users")
        user(2)
        assert calls == [1, 2, 1, 2, 2]


def test_a_set_that_goes_past_the_loop_takes_its_tags_with_it() -> None:
    with opened("node") as cache:
        items = cache.group("items")
        wait_direct(items)
        items.set("k", b"v", tags=["t"])
        assert items.get("k") == b"v"
        items.invalidate_tags("t")
        assert items.get("k") is None


@pytest.mark.parametrize("kind", WORLDS)
def test_too_many_tags_are_refused_in_the_thread_that_gives_them(kind: str) -> None:
    with opened(kind) as cache:
        items = cache.group("items")
        with pytest.raises(InvalidTag, match=r"^10000 tags on one key, limit 32$"):
            items.set("k", b"v", tags=[f"tag-{n}" for n in range(10_000)])
        with pytest.raises(InvalidTag):
            items.invalidate_tags("")
        assert items.get("k") is None
