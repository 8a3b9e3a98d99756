"""What Django itself keeps in the backend: sessions, and whole pages."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from django.test import Client
from django_project import caching_in, rendered

from zmcache.contrib.django import close_connections


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_connections()


@pytest.mark.parametrize("kind", ["cache", "cached_db"])
def test_sessions_are_kept(kind: str, address: str) -> None:
    engine = f"django.contrib.sessions.backends.{kind}"
    with caching_in(address, SESSION_ENGINE=engine):
        visitor, another = Client(), Client()
        assert [visitor.get("/visits").content for _ in range(3)] == [b"1", b"2", b"3"]
        assert another.get("/visits").content == b"1"
        session = import_module(engine).SessionStore(visitor.session.session_key)
        assert session["visits"] == 3
        session.delete()
        assert visitor.get("/visits").content == b"1"


def test_sessions_are_kept_by_awaiting_calls(address: str) -> None:
    async def main(store: Any) -> None:
        await store.aset("visits", 5)
        await store.asave()
        again = type(store)(store.session_key)
        assert await again.aget("visits") == 5
        await again.aflush()
        assert await type(store)(store.session_key).aload() == {}

    with caching_in(address, SESSION_ENGINE="django.contrib.sessions.backends.cache"):
        asyncio.run(main(import_module("django.contrib.sessions.backends.cache").SessionStore()))


def test_a_page_is_rendered_once_for_each_address(address: str) -> None:
    rendered.clear()
    with caching_in(address):
        client = Client()
        assert {client.get("/page").content for _ in range(3)} == {b"page 1"}
        assert client.get("/page?of=two").content == b"page 2"
        assert client.head("/page").status_code == 200
        assert rendered == ["/page", "/page?of=two"]
