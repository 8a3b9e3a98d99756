"""The SQL loader on a real PostgreSQL: types, hostile keys, a server that goes away and comes back, a slow query."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from urllib.parse import quote_plus

import postgres_fixture
import pytest
from loader_calls import load_and_close
from mesh_fixture import took_less_than
from postgres_fixture import PASSWORD, Postgres, running_postgres

from zmcache.errors import LoaderFailed
from zmcache.loaders import sql_loader

QUERY = "SELECT key, value FROM items WHERE key IN :keys"
SCHEMA = """
CREATE TABLE items (key TEXT PRIMARY KEY, value BYTEA, note TEXT, price NUMERIC);
INSERT INTO items SELECT 'k' || n, ('v' || n)::bytea, 'naïve', n FROM generate_series(0, 499) n;
INSERT INTO items VALUES ('null', NULL, NULL, NULL), ('empty', '', '', 0);
CREATE TABLE numbered (id INTEGER PRIMARY KEY, value TEXT);
INSERT INTO numbered VALUES (1, 'one'), (2, 'two');
"""


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        server.psql(SCHEMA)
        yield server


def url(server: Postgres, password: str = PASSWORD, database: str = "postgres") -> str:
    return f"postgresql://zm:{quote_plus(password)}@127.0.0.1:{server.port}/{database}"


def load(server: Postgres, query: str, *keys: str) -> dict[str, bytes]:
    return load_and_close(sql_loader(url(server), query, pool=4), *keys)


def test_keys_are_loaded_in_one_query_and_missing_ones_are_left_out(postgres: Postgres) -> None:
    assert load(postgres, QUERY, "k1", "k2", "nobody") == {"k1": b"v1", "k2": b"v2"}
    assert len(load(postgres, QUERY, *(f"k{n}" for n in range(500)))) == 500


def test_text_is_stored_as_utf8_null_is_no_such_key_and_empty_is_a_value(postgres: Postgres) -> None:
    assert load(postgres, QUERY, "null", "empty") == {"empty": b""}
    assert load(postgres, "SELECT key, note FROM items WHERE key IN :keys", "k1", "null") == {"k1": "naïve".encode()}


def test_a_hostile_key_is_only_a_key_and_spares_its_neighbours(postgres: Postgres) -> None:
    hostile = ["' OR 1=1 --", "k1'); DROP TABLE items; --", "with\0nul", "%", ":keys", "$1", "\\"]
    assert load(postgres, QUERY, *hostile, "k1") == {"k1": b"v1"}
    assert load(postgres, QUERY, "only\0nul") == {}


def test_a_number_column_wants_a_cast_on_both_sides(postgres: Postgres) -> None:
    right = "SELECT CAST(id AS TEXT), value FROM numbered WHERE CAST(id AS TEXT) IN :keys"
    assert load(postgres, right, "1", "3") == {"1": b"one"}
    with pytest.raises(LoaderFailed, match="column 'id', the key, is int, not text or bytes: write CAST"):
        load(postgres, "SELECT id, value FROM numbered WHERE CAST(id AS TEXT) IN :keys", "1")
    with pytest.raises(LoaderFailed, match="invalid input for query argument"):
        load(postgres, "SELECT id, value FROM numbered WHERE id IN :keys", "1")
    with pytest.raises(LoaderFailed, match="column 'price', the value, is Decimal"):
        load(postgres, "SELECT key, price FROM items WHERE key IN :keys", "k1")


def test_no_more_connections_are_made_than_loads_are_allowed(postgres: Postgres) -> None:
    who = "SELECT 'n', pg_backend_pid()::text FROM pg_sleep(0.02) WHERE 'n' IN :keys"

    async def run() -> None:
        loader = sql_loader(url(postgres), who, pool=3)
        found = await asyncio.gather(*(loader.load(["n"]) for _ in range(30)))
        await loader.aclose()
        assert len({one["n"] for one in found}) == 3

    asyncio.run(run())


def test_a_server_that_went_away_and_came_back_is_used_again(postgres: Postgres) -> None:
    async def run() -> None:
        loader = sql_loader(url(postgres), QUERY, pool=2)
        assert dict(await loader.load(["k1"])) == {"k1": b"v1"}
        await asyncio.to_thread(postgres.stop)
        with pytest.raises(LoaderFailed):
            await loader.load(["k1"])
        await asyncio.to_thread(postgres.start)
        # The connections in the pool are dead; the first load must not be the one to find out.
        assert dict(await loader.load(["k1"])) == {"k1": b"v1"}
        await loader.aclose()

    asyncio.run(run())


def test_a_load_that_is_cut_off_ends_at_once_and_gives_its_connection_back(postgres: Postgres) -> None:
    slow = "SELECT 'k', pg_sleep(CASE WHEN 'slow' IN :keys THEN 60 ELSE 0 END)::text"

    async def run() -> None:
        loader = sql_loader(url(postgres), slow, pool=1)
        for _ in range(3):
            with took_less_than(0.6), pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await loader.load(["slow"])
        async with asyncio.timeout(10):
            assert dict(await loader.load(["k"])) == {"k": b""}
        await loader.aclose()

    asyncio.run(run())


def test_a_server_that_stopped_dead_holds_up_neither_a_load_nor_closing(postgres: Postgres) -> None:
    who = "SELECT 'n', pg_backend_pid()::text WHERE 'n' IN :keys"

    async def run() -> None:
        loader = sql_loader(url(postgres), who, pool=1)
        backend = int((await loader.load(["n"]))["n"])
        os.kill(backend, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with took_less_than(0.6), pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await loader.load(["n"])
            await loader.aclose()
            assert time.monotonic() - started < 5
        finally:
            os.kill(backend, signal.SIGCONT)

    asyncio.run(run())


def test_an_error_never_shows_the_password(postgres: Postgres) -> None:
    loader = sql_loader(url(postgres), QUERY)
    assert PASSWORD not in loader.name
    assert "zm:***@127.0.0.1" in loader.name
    for server_url in (url(postgres, "wrong-secret"), url(postgres, database="nowhere")):
        with pytest.raises(LoaderFailed) as caught:
            load_and_close(sql_loader(server_url, QUERY), "k1")
        text = str(caught.value)
        assert "\n" not in text
        for secret in ("wrong-secret", PASSWORD, quote_plus(PASSWORD)):
            assert secret not in text
    with pytest.raises(LoaderFailed, match='relation "missing" does not exist'):
        load(postgres, "SELECT k, v FROM missing WHERE k IN :keys", "k1")


def test_a_machine_without_the_server_is_told_its_name_and_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_fixture, "_bin_dir", lambda: None)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("ZMCACHE_REQUIRE_SERVERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="postgresql`: apt-get install postgresql"), running_postgres():
        pass
    monkeypatch.setenv("ZMCACHE_REQUIRE_SERVERS", "1")
    with pytest.raises(pytest.fail.Exception, match="postgresql`: apt-get install postgresql"), running_postgres():
        pass


def test_nobody_at_the_address_is_an_error_of_the_load() -> None:
    with pytest.raises(LoaderFailed, match=r"sql postgresql\+asyncpg://zm@127\.0\.0\.1:1/d: "):
        load_and_close(sql_loader("postgresql://zm@127.0.0.1:1/d", QUERY), "k1")
