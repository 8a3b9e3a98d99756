"""A SQLite file as the database, where there is no PostgreSQL.

SQLite runs inside whoever asks and counts nothing. So each query is counted by the one who makes it, before it is made:
one byte is appended to a file beside the database, by the nodes (through the loader of this module) and by the
application (through its engine's events). Appends of one byte by many processes do not overwrite each other; the length
of the file is the count.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from . import shop

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_QUERY: Final = shop.QUERY.format(item="CAST(items.value AS TEXT)")
_MAX_BATCH: Final = 100


class SqliteFile:
    """`zmcache_loadgen.experiments.database.Database`, as a file."""

    name: Final = f"SQLite {sqlite3.sqlite_version}"
    query: Final = _QUERY
    counted_by: Final = "whoever made them, one by one (SQLite itself counts nothing)"

    def __init__(self, path: Path) -> None:
        self.url = f"sqlite+aiosqlite:///{path}"
        self.loader: Mapping[str, Any] = {
            "import": f"{__name__}:file.h{str(path).encode().hex()}",
            "batch": True,
            "max_batch": _MAX_BATCH,
        }
        self._path = path

    async def queries(self) -> int:
        """Counted so far."""
        return _counter(self._path).stat().st_size

    def count_those_of(self, engine: AsyncEngine) -> None:
        """Each of our query."""
        from sqlalchemy import event

        start = _QUERY.partition(":keys")[0]

        def count(connection: object, cursor: object, statement: str, *rest: object) -> None:
            if statement.startswith(start):
                _count_one(self._path)

        event.listen(engine.sync_engine, "before_cursor_execute", count)


@contextmanager
def open_sqlite(folder: Path, rows: int) -> Iterator[SqliteFile]:
    """A filled one in a folder of its own within ``folder``."""
    own = Path(tempfile.mkdtemp(prefix="sqlite-", dir=folder))
    try:
        path = own / "shop.db"
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in shop.SCHEMA:
                connection.execute(statement.format(bytes="BLOB"))
            connection.executemany("INSERT INTO items VALUES (?, ?, ?)", shop.items(rows))
            connection.executemany("INSERT INTO sales VALUES (?, ?, ?)", shop.sales())
            connection.execute(shop.INDEX)
        _counter(path).touch()
        yield SqliteFile(path)
    finally:
        shutil.rmtree(own, ignore_errors=True)


class _Files:
    """Loaders by the path of the database: a cluster file can name an attribute, and no argument."""

    def __getattr__(self, name: str) -> Callable[[list[str]], dict[str, bytes]]:
        if not re.fullmatch(r"h([0-9a-f]{2})+", name):
            raise AttributeError(name)
        return _loader(Path(bytes.fromhex(name[1:]).decode()))


file: Final = _Files()
"""``file.h<the path in hexadecimal>`` is a loader, for ``import`` in a cluster file."""


def _loader(path: Path) -> Callable[[list[str]], dict[str, bytes]]:
    """A sync function: zmcache runs it in threads, each of which keeps a connection."""
    mine = threading.local()

    def load(keys: list[str]) -> dict[str, bytes]:
        if not hasattr(mine, "connection"):
            mine.connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        _count_one(path)
        marks = ", ".join("?" * len(keys))
        rows = mine.connection.execute(_QUERY.replace(":keys", f"({marks})"), keys).fetchall()
        return {key: value.encode() for key, value in rows}

    return load


def _counter(path: Path) -> Path:
    return path.with_suffix(".queries")


def _count_one(path: Path) -> None:
    with _counter(path).open("ab", buffering=0) as file:
        file.write(b".")
