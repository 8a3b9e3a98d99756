"""The SQL loader on real SQLite files, and what it refuses before it connects."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from loader_calls import load_and_close

from zmcache.errors import ConfigError, LoaderFailed
from zmcache.loaders import sql_loader

QUERY = "SELECT key, value FROM items WHERE key IN :keys"


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "a folder % with ? signs.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE items (key TEXT PRIMARY KEY, value BLOB, number INTEGER, price REAL)")
    rows = [(f"k{n}", f"v{n}".encode(), n, n / 2) for n in range(500)]
    connection.executemany("INSERT INTO items VALUES (?, ?, ?, ?)", rows)
    connection.execute(
        "INSERT INTO items VALUES ('null', NULL, 1, 1.0), ('empty', x'', 1, 1.0), ('text', 'naïve', 1, 1.0)"
    )
    connection.execute("CREATE TABLE numbered (id INTEGER PRIMARY KEY, value TEXT)")
    connection.execute("INSERT INTO numbered VALUES (1, 'one'), (2, 'two')")
    connection.commit()
    connection.close()
    return "sqlite:///" + str(path).replace("%", "%25").replace("?", "%3F")


def load(url: str, query: str, *keys: str) -> dict[str, bytes]:
    return load_and_close(sql_loader(url, query, pool=4), *keys)


def failure(url: str, query: str, *keys: str) -> str:
    with pytest.raises(LoaderFailed) as caught:
        load(url, query, *keys)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_keys_are_loaded_in_one_query_and_missing_ones_are_left_out(database: str) -> None:
    assert load(database, QUERY, "k1", "k2", "nobody") == {"k1": b"v1", "k2": b"v2"}
    assert load(database, QUERY, "nobody") == {}
    assert len(load(database, QUERY, *(f"k{n}" for n in range(500)))) == 500


def test_text_is_stored_as_utf8_null_is_no_such_key_and_empty_is_a_value(database: str) -> None:
    assert load(database, QUERY, "text", "null", "empty") == {"text": "naïve".encode(), "empty": b""}


def test_many_loads_at_once_share_the_pool(database: str) -> None:
    async def run() -> None:
        loader = sql_loader(database, QUERY, pool=2, max_batch=50)
        assert (loader.max_batch, loader.batches) == (50, True)
        found = await asyncio.gather(*(loader.load([f"k{n}"]) for n in range(40)))
        assert [dict(one) for one in found] == [{f"k{n}": f"v{n}".encode()} for n in range(40)]
        await loader.aclose()
        await loader.aclose()

    asyncio.run(run())


def test_a_hostile_key_is_only_a_key(database: str) -> None:
    assert load(database, QUERY, "' OR 1=1 --", "k1'); DROP TABLE items; --", "k\0", "%", ":keys", "k1") == {
        "k1": b"v1"
    }


def test_a_number_column_wants_a_cast_on_both_sides(database: str) -> None:
    wrong = "SELECT id, value FROM numbered WHERE id IN :keys"
    assert failure(database, wrong, "1").endswith(
        "column 'id', the key, is int, not text or bytes: write CAST(id AS TEXT)"
    )
    right = "SELECT CAST(id AS TEXT), value FROM numbered WHERE CAST(id AS TEXT) IN :keys"
    assert load(database, right, "1", "3") == {"1": b"one"}
    for column, kind in (("number", "int"), ("price", "float")):
        line = failure(database, f"SELECT key, {column} FROM items WHERE key IN :keys", "k1")
        assert f"column '{column}', the value, is {kind}" in line


def test_a_query_must_give_two_columns(database: str) -> None:
    assert "expected two columns, key and value, found 1" in failure(
        database, "SELECT key FROM items WHERE key IN :keys", "k1"
    )
    assert "found 3" in failure(database, "SELECT key, value, number FROM items WHERE key IN :keys", "k1")
    assert "found 1" in failure(database, "SELECT key FROM items WHERE key IN :keys", "nobody")


def test_rows_that_were_not_asked_for_are_dropped(database: str) -> None:
    assert load(database, "SELECT key, value FROM items WHERE key COLLATE NOCASE IN :keys", "K1", "k2") == {"k2": b"v2"}


def test_a_database_that_is_not_there_is_an_error_and_no_new_file(tmp_path: Path) -> None:
    line = failure(f"sqlite:///{tmp_path}/typo.db", QUERY, "k")
    assert "typo.db" in line
    assert "no such file" in line
    assert not (tmp_path / "typo.db").exists()


def test_a_loader_recovers_once_its_database_is_there(tmp_path: Path) -> None:
    async def run() -> None:
        loader = sql_loader(f"sqlite:///{tmp_path}/late.db", QUERY)
        with pytest.raises(LoaderFailed):
            await loader.load(["k"])
        connection = sqlite3.connect(tmp_path / "late.db")
        connection.executescript("CREATE TABLE items (key TEXT, value TEXT); INSERT INTO items VALUES ('k', 'v')")
        connection.close()
        assert dict(await loader.load(["k"])) == {"k": b"v"}
        await loader.aclose()

    asyncio.run(run())


def test_the_drivers_word_is_passed_on_and_nothing_is_ever_written(database: str) -> None:
    assert "OperationalError: no such table: missing" in failure(
        database, "SELECT k, v FROM missing WHERE k IN :keys", "k"
    )
    assert "does not return rows" in failure(database, "DELETE FROM items WHERE key IN :keys", "k1")
    assert load(database, QUERY, "k1") == {"k1": b"v1"}


@pytest.mark.parametrize(
    ("url", "query", "text"),
    [
        ("nonsense", QUERY, "expected a database URL such as"),
        ("sqlite://", QUERY, "expected the file of a SQLite database in the URL"),
        ("sqlite:///:memory:", QUERY, "expected the file of a SQLite database in the URL"),
        (
            "sqlite:///x.db",
            "SELECT key, value FROM items",
            "one parameter `:keys`, as in `WHERE key IN :keys`, found none",
        ),
        ("sqlite:///x.db", "SELECT key, value FROM items WHERE key IN :keys AND a = :b", "found :b, :keys"),
        ("sqlite:///x.db", "SELECT key, value FROM items WHERE key IN (:keys)", "without parentheses around :keys"),
        ("nodialect://h/d", QUERY, "nodialect"),
        ("mysql+aiomysql://u:hunter2@h/d", QUERY, "needs the driver aiomysql"),
        ("postgresql+psycopg2://u:hunter2@h/d", QUERY, "psycopg2"),
        ("postgresql://u:hunter2@h:port/d", QUERY, "expected a database URL"),
    ],
)
def test_a_url_or_query_that_cannot_work_is_refused_before_anything_runs(url: str, query: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        sql_loader(url, query)
    assert text in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy.exc", None)
    with pytest.raises(ConfigError, match=r"pip install 'zmcache\[sql\]'"):
        sql_loader("sqlite:///x.db", QUERY)


def test_importing_the_loaders_does_not_import_sqlalchemy() -> None:
    script = "import sys, zmcache.loaders; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


def test_a_process_ends_although_a_query_hangs(database: str) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i), 'x' FROM n WHERE i NOT IN :keys"
    )
    script = textwrap.dedent(f"""
        import asyncio
        from zmcache.loaders import sql_loader
        async def main():
            loader = sql_loader({database!r}, {endless!r})
            task = asyncio.create_task(loader.load(["k"]))
            await asyncio.wait([task], timeout=0.3)
            assert not task.done()
            await loader.aclose()
            print("closed", flush=True)
        asyncio.run(main())
    """)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False)
    assert (ran.returncode, ran.stdout) == (0, "closed\n"), ran.stderr


def test_a_query_that_hangs_ends_with_its_load_and_gives_its_connection_back(database: str) -> None:
    endless = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE 'slow' IN :keys) "
        "SELECT 'k', CAST(max(i) AS TEXT) FROM n"
    )

    async def run() -> None:
        loader = sql_loader(database, endless, pool=1)
        for pause_s in (0.2, 0.0):
            started = time.monotonic()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await loader.load(["slow"])
            assert time.monotonic() - started < pause_s + 0.3
        async with asyncio.timeout(10):
            assert dict(await loader.load(["k"])) == {"k": b"1"}
        await loader.aclose()

    asyncio.run(run())
