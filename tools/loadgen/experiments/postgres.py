"""A PostgreSQL of one's own: its own folder, its own port on loopback, gone with the context.

The server refuses to run as root, so under root it runs as the user ``postgres`` (Debian's package makes one), else
``nobody``, by util-linux's ``setpriv``; its folder is where that user can reach it. If this process is killed the kernel
ends the server: it gets SIGQUIT, upon which PostgreSQL ends at once and gives its shared memory back. (The signal is
chosen after the change of user, which would clear it.)

Queries are counted by the extension ``pg_stat_statements``, exactly. Without it they are counted as the rollbacks of the
database that the application uses: each query is a transaction of its own that nobody commits. Such a count is told by a
backend at most once a second, by an idle one up to ten seconds late, and the first connection of each engine adds one.
"""

from __future__ import annotations

import asyncio
import functools
import os
import pwd
import secrets
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import LoadgenError
from ..process import Process, start_other
from . import shop

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_QUERY: Final = shop.QUERY.format(item="convert_from(items.value, 'UTF8')")
_OURS: Final = _QUERY.partition(",")[0]  # the statement's text from its start, which the server keeps as it is
_COUNT: Final = (
    "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements, pg_database"
    " WHERE dbid = pg_database.oid AND datname = 'shop' AND starts_with(query, $1)"
)
_COUNT_ROLLBACKS: Final = "SELECT xact_rollback FROM pg_stat_database WHERE datname = $1"
_START_LIMIT_S: Final = 60.0
_END_LIMIT_S: Final = 10.0
_POLL_S: Final = 0.05
_PORT_TRIES: Final = 3  # a port that the system gave may be taken by another before the server binds it
_SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    # What is removed at the end need not survive a crash of the machine.
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # Nothing of its own goes on beside the measurement.
    "autovacuum": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}
_STATEMENTS: Final = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_utility": "off"}


class PostgresFailed(LoadgenError):
    """It is installed, and does not start or cannot be filled; the text has its last words."""


class Postgres:
    """`zmcache_loadgen.experiments.database.Database`, as a server."""

    query: Final = _QUERY

    def __init__(self, url: str, control: Any, *, has_statements: bool, pid: int) -> None:
        """Not for use from outside: `open_postgres`. ``control``: a connection to another database of the server."""
        self.name = f"PostgreSQL {control.get_settings().server_version.partition(' ')[0]}"
        self.url = url
        self.loader: Mapping[str, Any] = {"sql": {"url": url, "query": _QUERY}}
        self.counted_by = (
            "PostgreSQL itself (pg_stat_statements)"
            if has_statements
            else "PostgreSQL itself (pg_stat_database: rollbacks, up to ten seconds late)"
        )
        self.pid = pid
        self._control = control
        self._count = (_COUNT, _OURS) if has_statements else (_COUNT_ROLLBACKS, "shop")
        self._asking = asyncio.Lock()  # a connection takes one query at a time

    async def queries(self) -> int:
        """Counted so far."""
        async with self._asking:
            return int(await self._control.fetchval(*self._count))

    def count_those_of(self, engine: AsyncEngine) -> None:
        """The server counts them."""


@functools.cache
def missing() -> str | None:
    """Why there can be none here, and what would bring it; None when there can."""
    if _programs() is None:
        return "PostgreSQL is not installed: apt-get install postgresql"
    try:
        import asyncpg  # noqa: F401 - whether it is there is the question
    except ImportError:
        return "the driver of PostgreSQL is not installed: pip install 'zmcache[sql]'"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "PostgreSQL does not run as root, and setpriv is not installed: apt-get install util-linux"
    return None


@asynccontextmanager
async def open_postgres(folder: Path, rows: int) -> AsyncIterator[Postgres]:
    """A filled one, its data within ``folder`` where the server's user can reach that. Raises `PostgresFailed`."""
    programs, user = _programs(), _unprivileged_user()
    assert programs is not None
    own = Path(tempfile.mkdtemp(prefix="zmcache-postgres-", dir=folder if _reachable(folder, user) else None))
    try:
        if user is not None:
            shutil.chown(own, user)
        server = _Server(programs, own, user)
        try:
            await server.initialise()
            control = await server.start()
            try:
                await _fill(control, server, rows)
                yield Postgres(
                    server.url("shop", "postgresql+asyncpg"),
                    control,
                    has_statements=server.has_statements,
                    pid=server.pid,
                )
            finally:
                control.terminate()
        finally:
            await server.stop()
    finally:
        shutil.rmtree(own, ignore_errors=True)


class _Server:
    """The process, and the way to it."""

    def __init__(self, programs: Path, folder: Path, user: str | None) -> None:
        self.has_statements = _has_statements(programs)
        self._programs = programs
        self._folder = folder
        self._user = user
        self._password = secrets.token_hex(16)
        self._port = 0
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str, scheme: str = "postgresql") -> str:
        return f"{scheme}://zmcache:{self._password}@127.0.0.1:{self._port}/{database}"

    async def initialise(self) -> None:
        """`initdb`."""
        password = self._folder / "password"
        password.touch(mode=0o600)
        password.write_text(self._password)
        if self._user is not None:
            shutil.chown(password, self._user)
        options = ["--username=zmcache", "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8"]
        made = await self._run("initdb", *options, "--locale=C", "--no-sync", f"--pgdata={self._folder / 'data'}")
        try:
            await made.wait_ended()
        finally:
            # A second at most, also when cancelled: killed in the middle it leaves shared memory that nobody gives back.
            await made.wait_ended(_END_LIMIT_S)
            made.kill()
        if made.ending != "exited with code 0":
            raise PostgresFailed(f"initdb {made.ending}: {made.last_line}")

    async def start(self) -> Any:
        """Start it, and return a connection to it."""
        settings = {**_SETTINGS, **(_STATEMENTS if self.has_statements else {})}
        options = [f"--{name}={value}" for name, value in settings.items()]
        for _ in range(_PORT_TRIES):
            self._port = _free_port()
            self._process = await self._run(
                "postgres", "-D", str(self._folder / "data"), f"--port={self._port}", *options
            )
            if (control := await self._connected(self._process)) is not None:
                return control
            if not any("Address already in use" in line for line in self._process.lines):
                break
        said = "; ".join(list(self._process.lines)[-3:]) if self._process else ""
        raise PostgresFailed(f"PostgreSQL does not start: {said}")

    async def stop(self) -> None:
        """At once: nothing of it is kept. Of no effect where it does not run."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            if self._process.is_running:
                os.kill(self._process.pid, signal.SIGQUIT)
        try:
            await self._process.wait_ended(_END_LIMIT_S)
        finally:
            self._process.kill()
        await self._process.wait_ended()

    async def _connected(self, process: Process) -> Any:
        """A connection as soon as it takes one; None when it has ended instead."""
        import asyncpg

        deadline_s = time.monotonic() + _START_LIMIT_S
        while process.is_running:
            try:
                return await asyncpg.connect(self.url("postgres"), timeout=_START_LIMIT_S)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
                if time.monotonic() > deadline_s:
                    raise PostgresFailed(f"PostgreSQL takes no connection: {exc}") from exc
            await asyncio.sleep(_POLL_S)
        await process.wait_ended()
        return None

    async def _run(self, program: str, *arguments: str) -> Process:
        # The folder that this process is in may be closed to that user, and PostgreSQL's programs want to know where they are.
        command = ["/bin/sh", "-c", 'cd / && exec "$@"', "sh", str(self._programs / program), *arguments]
        setpriv = shutil.which("setpriv")
        if setpriv is not None:
            command = [setpriv, *self._privileges(), *command]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return await start_other(program, command, {**env, "LC_ALL": "C"}, lambda: None)

    def _privileges(self) -> list[str]:
        options = []
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            options = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        # It is the thread that starts it whose end counts, as in `process`.
        if threading.current_thread() is threading.main_thread():
            options += ["--pdeathsig", "QUIT"]
        return options


async def _fill(control: Any, server: _Server, rows: int) -> None:
    import asyncpg

    try:
        if server.has_statements:
            await control.execute("CREATE EXTENSION pg_stat_statements")
        await control.execute("CREATE DATABASE shop")
        connection = await asyncpg.connect(server.url("shop"))
        try:
            for statement in shop.SCHEMA:
                await connection.execute(statement.format(bytes="BYTEA"))
            await connection.copy_records_to_table("items", records=shop.items(rows))
            await connection.copy_records_to_table("sales", records=shop.sales())
            await connection.execute(shop.INDEX)
            await connection.execute("VACUUM ANALYZE")
            await connection.execute("CHECKPOINT")
        finally:
            await connection.close()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as exc:
        raise PostgresFailed(f"PostgreSQL could not be filled: {exc}") from exc


@functools.cache
def _programs() -> Path | None:
    """The folder of the newest: on the PATH, or where Debian has them."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    return next((each for each in folders if (each / "initdb").exists() and (each / "postgres").exists()), None)


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def _has_statements(programs: Path) -> bool:
    libraries = ("lib", "lib/postgresql", "lib/pgsql", "lib64/pgsql")
    return any((programs.parent / each / "pg_stat_statements.so").exists() for each in libraries)


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _reachable(folder: Path, user: str | None) -> bool:
    """Whether another user can enter a folder within ``folder``."""
    return user is None or all(each.stat().st_mode & 0o001 for each in (folder.resolve(), *folder.resolve().parents))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
