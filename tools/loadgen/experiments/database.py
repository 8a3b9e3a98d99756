"""The database behind the cache: a private PostgreSQL, or a SQLite file where there is none.

Its queries are counted by itself where it can, so that what a cache is said to have spared is not the cache's own claim.
SQLite is no server and counts nothing: there each query is counted by whoever is about to make it (see `sqlite`), and
``counted_by`` says so.

It is there for as long as the context lasts, and gone afterwards however that ends::

    async with open_database(setting, rows=20_000) as database:
        cluster_file["groups"]["items"]["loader"] = database.loader
        before = await database.queries()
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..errors import LoadgenError
from . import postgres, shop, sqlite
from .base import Setting

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

value_of = shop.value_of
ABOUT: Final = shop.ABOUT


class DatabaseFailed(LoadgenError):
    """There is no such database here; the text says why, and what would bring it."""


class Database(Protocol):
    """A database that serves, filled with the keys ``0`` to ``rows - 1``."""

    @property
    def name(self) -> str:
        """What it is: ``PostgreSQL 15.14``."""

    @property
    def url(self) -> str:
        """Where it is, for SQLAlchemy with an async driver. Holds the password of a database that ends with the context."""

    @property
    def query(self) -> str:
        """As a loader wants it: two columns, key and value, ``IN :keys``. `ABOUT` says in words what it asks."""

    @property
    def loader(self) -> Mapping[str, Any]:
        """What stands under ``loader`` of a group in a cluster file, so that the nodes' queries are counted."""

    @property
    def counted_by(self) -> str:
        """Who counts the queries, and how exactly."""

    async def queries(self) -> int:
        """How many times `query` was executed so far, by anyone."""

    def count_those_of(self, engine: AsyncEngine) -> None:
        """Have the queries of an application's engine counted, where the database does not by itself."""


class Opened:
    """A database, and ``why`` it is not the PostgreSQL that was wanted: None when it is."""

    def __init__(self, database: Database, why: str | None) -> None:
        self.why = why
        self.name = database.name
        self.url = database.url
        self.query = database.query
        self.loader = database.loader
        self.counted_by = database.counted_by
        self.queries = database.queries
        self.count_those_of = database.count_those_of

    @property
    def description(self) -> dict[str, str | None]:
        """What a record says about it."""
        return {"name": self.name, "why": self.why, "query": ABOUT, "counted_by": self.counted_by}


@asynccontextmanager
async def open_database(setting: Setting, *, rows: int) -> AsyncIterator[Opened]:
    """As ``setting.database`` wants it, with ``rows`` items. Raises `DatabaseFailed`, and `postgres.PostgresFailed`."""
    why = "SQLite was asked for" if setting.database == "sqlite" else postgres.missing()
    if why is None:
        async with postgres.open_postgres(setting.folder, rows) as database:
            yield Opened(database, None)
    elif setting.database == "postgresql":
        raise DatabaseFailed(why)
    else:
        with sqlite.open_sqlite(setting.folder, rows) as file:
            yield Opened(file, why)
