"""The database of the experiments: filled with what is known, counted by itself, and gone when it is over."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventually import answered, eventually_blocking
from sqlalchemy import bindparam, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from zmcache_loadgen.experiments import postgres
from zmcache_loadgen.experiments.base import DatabaseChoice, Setting
from zmcache_loadgen.experiments.database import DatabaseFailed, Opened, open_database, value_of

from zmcache.loaders import import_loader, sql_loader

KILLED = """
import asyncio, sys
from pathlib import Path
from zmcache_loadgen.experiments.postgres import open_postgres

async def main():
    async with open_postgres(Path(sys.argv[1]), 10) as database:
        print(database.pid, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="zmcache-test-") as name:
        Path(name).chmod(0o711)  # so that the server's user, which is another under root, can reach its data
        yield Path(name)


@pytest.fixture
def needs_postgres() -> None:
    if (why := postgres.missing()) is None:
        return
    if os.environ.get("CI", "").lower() in ("1", "true") or os.environ.get("ZMCACHE_REQUIRE_SERVERS") == "1":
        pytest.fail(why)
    pytest.skip(why)


def setting(folder: Path, database: DatabaseChoice) -> Setting:
    return Setting(folder=folder, database=database)


async def asked_by_an_application(database: Opened, *keys: str) -> dict[str, bytes]:
    """Each key by a query of its own."""
    engine = create_async_engine(database.url)
    database.count_those_of(engine)
    query = text(database.query).bindparams(bindparam("keys", expanding=True))
    found = {}
    for key in keys:
        async with engine.connect() as connection:
            found |= {row[0]: row[1].encode() for row in (await connection.execute(query, {"keys": [key]})).fetchall()}
    await engine.dispose()
    return found


async def asked_by_a_loader(database: Opened, *keys: str) -> dict[str, bytes]:
    """All keys by one query, as a node does."""
    named = dict(database.loader)
    loader = (
        sql_loader(**named["sql"])
        if "sql" in named
        else import_loader(named["import"], batch=named["batch"], max_batch=named["max_batch"])
    )
    try:
        return dict(await loader.load(list(keys)))
    finally:
        await loader.aclose()


def is_open(url: str) -> bool:
    where = make_url(url)
    try:
        socket.create_connection((where.host, where.port), timeout=5).close()
    except OSError:
        return False
    return True


async def check_answers_and_counts(database: Opened) -> None:
    before = await database.queries()
    found = await asked_by_an_application(database, "0", "7", "149", "150", "nobody")
    assert found == {key: value_of(key) for key in ("0", "7", "149")}
    assert 450 < len(found["149"]) < 550
    assert await database.queries() - before == 5
    assert await asked_by_a_loader(database, "8", "9", "nobody") == {key: value_of(key) for key in ("8", "9")}
    assert await database.queries() - before == 6


@pytest.mark.usefixtures("needs_postgres")
def test_postgresql_answers_what_is_known_counts_every_query_and_is_gone_afterwards(folder: Path) -> None:
    async def run() -> str:
        async with open_database(setting(folder, "auto"), rows=150) as database:
            assert database.name.startswith("PostgreSQL ")
            assert database.why is None
            await check_answers_and_counts(database)
            return database.url

    url = asyncio.run(run())
    assert not is_open(url)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("needs_postgres")
@pytest.mark.slow
def test_a_cancelled_experiment_leaves_no_server_behind(folder: Path) -> None:
    urls: list[str] = []

    async def hold() -> None:
        async with open_database(setting(folder, "postgresql"), rows=1) as database:
            urls.append(database.url)
            await asyncio.Event().wait()

    async def run() -> None:
        holding = asyncio.create_task(hold())
        await answered(lambda: asyncio.sleep(0, urls), bool, what="a server", within_s=60)
        holding.cancel()
        await asyncio.gather(holding, return_exceptions=True)

    asyncio.run(run())
    assert not is_open(urls[0])
    assert list(folder.iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("needs_postgres")
def test_a_killed_generator_takes_its_server_with_it(folder: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as generator:
        assert generator.stdout is not None
        try:
            server = Path(f"/proc/{int(generator.stdout.readline())}")
            assert server.exists()
        finally:
            generator.send_signal(signal.SIGKILL)
    eventually_blocking(lambda: not _runs(server), lambda: f"{server} still runs")


def _runs(process: Path) -> bool:
    """A zombie that nobody reaps has ended, too."""
    try:
        return ") Z " not in (process / "stat").read_text()
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.usefixtures("needs_postgres")
def test_without_its_extension_postgresql_counts_transactions(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_has_statements", lambda programs: False)

    async def run() -> None:
        async with open_database(setting(folder, "auto"), rows=10) as database:
            assert "pg_stat_database" in database.counted_by
            await asked_by_an_application(database, *map(str, range(10)))
            # One more is that of the engine's first connection.
            await answered(database.queries, (11).__eq__, what="all ten counted", within_s=15)

    asyncio.run(run())


def test_sqlite_answers_the_same_and_counts_who_asks(folder: Path) -> None:
    async def run() -> None:
        async with open_database(setting(folder, "sqlite"), rows=150) as database:
            assert database.name.startswith("SQLite 3")
            assert database.why == "SQLite was asked for"
            assert "counts nothing" in database.counted_by
            await check_answers_and_counts(database)

    asyncio.run(run())
    assert list(folder.iterdir()) == []


def test_where_there_is_no_postgresql_sqlite_is_used_and_the_reason_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "_programs", lambda: None)
    postgres.missing.cache_clear()

    async def opened(choice: DatabaseChoice) -> dict[str, str | None]:
        async with open_database(setting(folder, choice), rows=1) as database:
            return database.description

    try:
        shown = asyncio.run(opened("auto"))
        assert str(shown["name"]).startswith("SQLite ")
        assert shown["why"] == "PostgreSQL is not installed: apt-get install postgresql"
        with pytest.raises(DatabaseFailed, match="apt-get install postgresql"):
            asyncio.run(opened("postgresql"))
    finally:
        postgres.missing.cache_clear()
