"""A database as a loader: a URL, and a query that returns two columns, the key and the value, for the keys that it is
given.

    SELECT key, value FROM items WHERE key IN :keys

``:keys`` stands without parentheses, and is the only parameter. Keys are text on both sides: a key column of another
type needs ``CAST(id AS TEXT)`` in both places. A value is bytes, or text, which is stored as UTF-8; anything else wants
a CAST in the query. A NULL value, like a row that does not come, is "no such key". A row for a key that was not asked
for (a collation that ignores case) is dropped.

SQLAlchemy's async core does the work: SQLite through aiosqlite, PostgreSQL through asyncpg, whatever else has an async
driver by its full URL. Nothing is ever committed. A database that is away is an error of each load, not of the start:
the node may well be up before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, quote_plus

from zmcache.errors import ConfigError, LoaderFailed
from zmcache.loaders.base import BatchLoader, one_line, translated

if TYPE_CHECKING:
    from sqlalchemy import TextClause
    from sqlalchemy.engine import URL
    from sqlalchemy.ext.asyncio import AsyncEngine

_DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
}
_CONNECT_TIMEOUT_S: Final = 5.0
_CLOSE_TIMEOUT_S: Final = 2.0


def sql_loader(url: str, query: str, *, max_batch: int = 100, pool: int = 16) -> BatchLoader:
    """A loader that asks a database, with at most ``pool`` connections, at most ``max_batch`` keys a query.

    Raises `ConfigError` when the extra zmcache[sql] is not installed, or the URL or the query cannot be understood. No
    connection is made yet.
    """
    try:
        from sqlalchemy.exc import SQLAlchemyError
        from sqlalchemy.ext.asyncio import create_async_engine
    except ImportError as exc:
        raise ConfigError("the sql loader needs SQLAlchemy: pip install 'zmcache[sql]'") from exc
    statement = _statement(query)
    parsed = _url(url)
    name = f"sql {parsed.render_as_string(hide_password=True)}"
    options: dict[str, Any] = (
        {"connect_args": {"timeout": _CONNECT_TIMEOUT_S}} if parsed.drivername in _DRIVERS.values() else {}
    )
    file = None
    if parsed.get_backend_name() == "sqlite":
        parsed, file = _existing_file(parsed)
    else:
        # A server that was restarted leaves dead connections in the pool; asking first costs one round trip a load.
        options["pool_pre_ping"] = True
    try:
        engine = create_async_engine(parsed, pool_size=pool, max_overflow=0, hide_parameters=True, **options)
    except ModuleNotFoundError as exc:
        raise ConfigError(f"loader {name}: needs the driver {exc.name}: pip install 'zmcache[sql]'") from exc
    except (SQLAlchemyError, TypeError, ValueError) as exc:
        raise ConfigError(f"loader {name}: {one_line(str(exc))}") from exc
    return _SqlLoader(engine, statement, name, max_batch=max_batch, password=parsed.password, file=file)


def _statement(query: str) -> TextClause:
    from sqlalchemy import bindparam, text

    if re.search(r"\(\s*:keys\s*\)", query):
        raise ConfigError("expected `IN :keys` in the query, without parentheses around :keys")
    statement = text(query)
    names = set(statement.compile().params)
    if names != {"keys"}:
        named = ", ".join(f":{name}" for name in sorted(names)) or "none"
        raise ConfigError(f"expected a query with the one parameter `:keys`, as in `WHERE key IN :keys`, found {named}")
    return statement.bindparams(bindparam("keys", expanding=True))


def _url(url: str) -> URL:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not chained and not shown: the text may hold a password.
        raise ConfigError("expected a database URL such as sqlite:///items.db or postgresql://user@host/name") from None
    return parsed.set(drivername=_DRIVERS.get(parsed.drivername, parsed.drivername))


def _existing_file(url: URL) -> tuple[URL, str | None]:
    """The URL such that a misspelt path is an error, where SQLite would make an empty database; and the path."""
    if url.database in (None, "", ":memory:"):
        raise ConfigError(
            "expected the file of a SQLite database in the URL, as in sqlite:///items.db: memory is empty here"
        )
    if url.database.startswith("file:") or "uri" in url.query:
        return url, None
    return url.set(database=f"file:{quote(url.database)}").update_query_dict(
        {"mode": "rw", "uri": "true"}
    ), url.database


class _SqlLoader:
    batches = True

    def __init__(
        self,
        engine: AsyncEngine,
        statement: TextClause,
        name: str,
        *,
        max_batch: int,
        password: str | None,
        file: str | None,
    ) -> None:
        self.name = name
        self.max_batch = max_batch
        self._engine = engine
        self._statement = statement
        self._secrets = {password, quote(password, safe=""), quote_plus(password)} if password else set()
        # PostgreSQL's text cannot hold a NUL: such a key is not there, and must not fail the others of its batch.
        self._no_nul = engine.dialect.name == "postgresql"
        self._file = file
        self._queries: dict[asyncio.Task[dict[str, bytes]], Any] = {}

    async def load(self, keys: list[str]) -> Mapping[str, bytes]:
        wanted = [key for key in keys if "\0" not in key] if self._no_nul else keys
        if not wanted:
            return {}
        if self._file is not None and not os.path.exists(self._file):  # noqa: ASYNC240 - a stat of a local file
            raise LoaderFailed(f"loader {self.name}: no such file")
        # In a task of its own: letting go of a connection whose query hangs takes as long as the query or the network
        # pleases, and a load that was cut off has to end at once.
        task = asyncio.create_task(self._query(wanted), name=f"zmcache query {self.name}")
        self._queries[task] = None
        task.add_done_callback(self._ended)
        with translated(self.name, self._text_of):
            try:
                return await asyncio.shield(task)
            finally:
                if not task.done():
                    task.cancel()
                    self._interrupt(task)

    async def aclose(self) -> None:
        # A server that does not answer must not keep the node from ending; the sockets go with the process.
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                for task in list(self._queries):
                    task.cancel()
                    self._interrupt(task)
                if self._queries:
                    await asyncio.wait(list(self._queries))
                await self._engine.dispose()

    async def _query(self, wanted: list[str]) -> dict[str, bytes]:
        task = asyncio.current_task()
        assert task is not None
        async with self._engine.connect() as connection:
            self._queries[task] = (await connection.get_raw_connection()).driver_connection
            result = await connection.execute(self._statement, {"keys": wanted})
            rows = result.fetchall()
            columns = list(result.keys())
        return self._values(rows, columns, set(wanted))

    def _ended(self, task: asyncio.Task[dict[str, bytes]]) -> None:
        del self._queries[task]
        if not task.cancelled():
            task.exception()  # looked at, or asyncio complains about that of a query whose caller has gone

    def _interrupt(self, task: asyncio.Task[dict[str, bytes]]) -> None:
        """Stop a SQLite query in its thread, which no cancellation reaches; again until it has stopped.

        Again, because an interrupt that comes before the thread has begun with the query is forgotten.
        """
        driver = self._queries.get(task)
        if task not in self._queries or self._engine.dialect.name != "sqlite":
            return
        connection = getattr(driver, "_connection", None)  # aiosqlite's own `interrupt` is a coroutine around this
        if connection is not None:
            connection.interrupt()
        asyncio.get_running_loop().call_later(0.05, self._interrupt, task)

    def _values(self, rows: Sequence[Sequence[Any]], columns: list[str], wanted: set[str]) -> dict[str, bytes]:
        if len(columns) != 2:
            raise LoaderFailed(f"loader {self.name}: expected two columns, key and value, found {len(columns)}")
        values = {}
        for key, value in rows:
            if not isinstance(key, str):
                raise self._cast(columns[0], key, "the key")
            if value is None or key not in wanted:
                continue
            if isinstance(value, str):
                values[key] = value.encode()
            elif isinstance(value, bytes | memoryview):
                values[key] = bytes(value)
            else:
                raise self._cast(columns[1], value, "the value")
        return values

    def _cast(self, column: str, value: object, what: str) -> LoaderFailed:
        kind = type(value).__name__
        return LoaderFailed(
            f"loader {self.name}: column {column!r}, {what}, is {kind}, not text or bytes: write CAST({column} AS TEXT)"
        )

    def _text_of(self, exc: BaseException) -> str:
        # SQLAlchemy's own text repeats the whole statement; the driver's says what was wrong.
        text = str(getattr(exc, "orig", None) or exc)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text
