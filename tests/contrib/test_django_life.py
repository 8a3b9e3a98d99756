"""The backend for Django: what its entry in CACHES says, whose values it reads, and its connections across threads, loops and forks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished
from django.test import override_settings
from django_project import backend, caching_in
from processes import free_port, run_python
from sync_worlds import in_threads

import zmcache
from zmcache.contrib.django import close_connections
from zmcache.contrib.django.connections import connections


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    close_connections()
    assert connections._loops == {}


@pytest.mark.parametrize(
    ("location", "options", "why"),
    [
        ("", {}, "needs a LOCATION"),
        ("zmcache://host", {}, "port"),
        ("mem://", {"MAX_ENTRIES": 30}, "no option of zmcache: MAX_ENTRIES .*budget of the group"),
        ("mem://", {"socket_timeout": 1}, "no option of zmcache: socket_timeout"),
        ("mem://", {"on_error": "ignore"}, "on_error"),
        ("mem://", {"codec": "yaml"}, "expected a codec"),
        ("mem://", {"codec": "raw"}, "raw carries bytes alone"),
        ("mem://", {"codec": "json", "key": "0123456789abcdef"}, "for the codec pickle alone"),
        ("mem://", {"key": "short"}, "at least 16 secret bytes"),
    ],
)
def test_what_is_wrong_with_an_entry_is_told_before_anything_runs(
    location: str, options: dict[str, Any], why: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=why):
        backend(location, OPTIONS=options)


def test_only_what_was_signed_with_a_known_key_is_read() -> None:
    ours = backend("mem://")
    ours.set("k", [1])
    with override_settings(SECRET_KEY="another"):
        assert backend("mem://").get("k", "nothing") == "nothing"
        assert backend("mem://").get_many(["k"]) == {}
    with override_settings(SECRET_KEY="another", SECRET_KEY_FALLBACKS=["older", settings.SECRET_KEY]):
        assert backend("mem://").get("k") == [1]
        assert backend("mem://").get_or_set("k", lambda: "made anew") == [1]
    with override_settings(SECRET_KEY="another"):
        assert backend("mem://").get_or_set("k", lambda: "made anew") == "made anew"
        assert backend("mem://").get("k") == "made anew"
        assert (
            asyncio.run(backend("mem://", OPTIONS={"key": "of this entry alone"}).aget_or_set("k", lambda: 7.5)) == 7.5
        )
    assert ours.get("k") is None


class Reversed:
    """A program's own codec, of text."""

    name = "reversed"

    def encode(self, value: str) -> bytes:
        return value[::-1].encode()

    def decode(self, data: bytes) -> str:
        return data.decode()[::-1]


@pytest.mark.parametrize(
    "codec", ["json", "msgpack", Reversed(), f"{__name__}.Reversed"], ids=["json", "msgpack", "own", "path"]
)
def test_other_codecs_carry_what_they_can_and_count(codec: Any) -> None:
    cache = backend("mem://", OPTIONS={"codec": codec})
    cache.set_many({"text": "abc", "number": 12, "none": None})
    assert cache.get_many(["text", "number", "none"]) == {"text": "abc", "number": 12, "none": None}
    assert cache.incr("number") == 13
    with pytest.raises((zmcache.InvalidValue, AttributeError, TypeError)):
        cache.set("k", object())


def test_what_would_be_read_as_a_number_is_refused() -> None:
    with pytest.raises(zmcache.InvalidValue, match="read as a number"):
        backend("mem://", OPTIONS={"codec": Reversed()}).set("k", "123")


def test_groups_are_apart_and_long_values_can_be_compressed() -> None:
    plain, other = backend("mem://"), backend("mem://", OPTIONS={"group": "other", "compress_above": "1KiB"})
    plain.set("k", "plain")
    other.set("k", "again and " * 10_000)
    assert other.get("k") == "again and " * 10_000
    raw = connections.group(backend("mem://", OPTIONS={"group": "other"})._place).get(other.make_key("k"))
    assert raw is not None
    assert len(raw) < 1000
    other.clear()
    assert (plain.get("k"), other.get("k")) == ("plain", None)


def test_a_cache_that_is_away_raises_or_is_a_miss_as_is_said() -> None:
    nowhere = f"zmcache://127.0.0.1:{free_port()}"
    with pytest.raises(zmcache.PeerUnavailable):
        backend(nowhere, OPTIONS={"connect_timeout": 0.05}).get("k")
    with pytest.raises(zmcache.PeerUnavailable):
        asyncio.run(backend(nowhere, OPTIONS={"connect_timeout": 0.05}).aget("k"))
    cache = backend(nowhere, OPTIONS={"on_error": "miss", "connect_timeout": 0.05})
    cache.set("k", 1)
    assert cache.get("k", "nothing") == "nothing"
    assert cache.get_or_set("k", lambda: "made") == "made"
    assert cache.set_many({"k": 1, "l": 2}) == ["k", "l"]
    assert cache.add("k", 1) is False
    cache.clear()
    assert asyncio.run(cache.aget_or_set("k", lambda: "made")) == "made"


def test_all_threads_and_backend_objects_of_a_process_share_a_connection(cluster: str) -> None:
    with caching_in(cluster):
        found = in_threads(4, lambda _: (caches["default"].get("k"), id(caches["default"]), dict(connections._threads)))
        caches["default"].close()
        request_finished.send(None)
    objects, held = {one[1] for one in found}, [one[2] for one in found]
    assert len(objects) > 1
    assert held == [connections._threads] * 4
    assert len(connections._threads) == 1


def test_each_loop_has_a_connection_that_ends_with_it(cluster: str) -> None:
    cache, other = backend(cluster), backend(cluster, VERSION=2)

    async def main() -> None:
        await asyncio.gather(*[asyncio.create_task(one.aset("k", 1)) for one in (cache, other, cache)])
        assert len(connections._loops) == 1
        cancelled = asyncio.create_task(cache.aget("k"))
        await asyncio.sleep(0)
        cancelled.cancel()
        assert await other.aget("k") == 1

    asyncio.run(main())
    assert connections._loops == {}
    async_to_sync(main)()
    assert connections._loops == {}


def test_a_connection_of_a_loop_can_be_closed_and_is_made_anew(cluster: str) -> None:
    cache = backend(cluster)

    async def main() -> None:
        await cache.aclose()
        await cache.aset("k", 1)
        await asyncio.gather(cache.aclose(), cache.aclose())
        assert connections._loops == {}
        assert len([task for task in asyncio.all_tasks() if task.get_name().startswith("zmcache")]) == 0
        assert await cache.aget("k") == 1

    asyncio.run(main())


def test_after_a_fork_the_child_makes_a_connection_of_its_own_and_the_parent_goes_on(cluster: str) -> None:
    cache = backend(cluster)
    cache.set("k", 0)
    pid = os.fork()
    if not pid:
        with_status(lambda: cache.get("k") == 0 and cache.incr("k") == 1 and asyncio.run(cache.aincr("k")) == 2)
    assert os.waitpid(pid, 0)[1] == 0
    assert cache.incr("k") == 3


def with_status(check: Callable[[], bool]) -> None:
    """End this process, with a status that says how it went, and nothing of pytest's."""
    status = 1
    try:
        status = 0 if check() else 2
    finally:
        os._exit(status)


PROGRAM = """
import asyncio, multiprocessing, sys
from django.conf import settings
settings.configure(SECRET_KEY="s" * 50, CACHES={"default": {
    "BACKEND": "zmcache.contrib.django.ZmcacheCache", "LOCATION": sys.argv[1].removeprefix("zmcache://").split(","),
}})
from django.core.cache import cache

def work(number):
    return cache.incr("program"), asyncio.run(cache.aget("program")) > 0

cache.set("program", 0)
with multiprocessing.get_context("fork").Pool(2) as pool:
    pool.map(work, range(10))
print(cache.get("program"))
"""


def test_a_program_that_forks_workers_ends_without_a_word(cluster: str, tmp_path: Any) -> None:
    assert run_python(PROGRAM, cluster, folder=tmp_path) == ["10"]
