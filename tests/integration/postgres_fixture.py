"""A private PostgreSQL for tests: its own folder, its own port on loopback, gone afterwards.

The server refuses to run as root, so under root it runs as the user ``postgres`` (Debian's package makes one), else ``nobody``. Where there
is no PostgreSQL the tests that need one are skipped by name, or fail where CI or ZMCACHE_REQUIRE_SERVERS=1 says that nothing may be skipped.
"""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from processes import free_port

PASSWORD = "hunter2/ä@x"
_START_LIMIT_S = 60.0


class Postgres:
    """A running server with a superuser ``zm`` and a database of the same name."""

    def __init__(self, folder: Path, bin_dir: Path, user: str | None) -> None:
        self._data, self._bin, self._user = folder / "data", bin_dir, user
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()

    def initialise(self) -> None:
        password = self._data.parent / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        options = [
            "-D",
            str(self._data),
            "-U",
            "zm",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
            "-E",
            "UTF8",
            "--locale=C",
            "-N",
        ]
        self._run("initdb", *options)

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = ["-D", str(self._data), "-p", str(self.port), "-c", "listen_addresses=127.0.0.1"]
        quick = ["-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=30"]
        with self._log.open("ab") as log:
            command = [str(self._bin / "postgres"), *options, *quick]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, user=self._user, cwd="/")
        deadline = time.monotonic() + _START_LIMIT_S
        while subprocess.call([str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]) != 0:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"postgresql did not start: {self._log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it at once; connections are cut."""
        if self._process is not None:
            self._run("pg_ctl", "-D", str(self._data), "stop", "-m", "immediate")
            self._process.wait(30)
            self._process = None

    def psql(self, script: str) -> None:
        environ = {**os.environ, "PGPASSWORD": PASSWORD}
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "zm", "-d", "postgres"]
        subprocess.run(
            [str(self._bin / "psql"), "-q", "-v", "ON_ERROR_STOP=1", *where],
            input=script.encode(),
            env=environ,
            check=True,
        )

    def _run(self, program: str, *arguments: str) -> None:
        ran = subprocess.run(
            [str(self._bin / program), *arguments], user=self._user, cwd="/", capture_output=True, check=False
        )
        if ran.returncode != 0:
            raise RuntimeError(f"{program}: {ran.stderr.decode(errors='replace')[-2000:]}")


def _bin_dir() -> Path | None:
    on_path = shutil.which("initdb")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += [Path(path) for path in sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_version, reverse=True)]
    return next((folder for folder in folders if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


def _version(path: str) -> int:
    digits = Path(path).parent.name
    return int(digits) if digits.isdigit() else 0


def _unprivileged_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("postgres", "nobody") if name in known)


def _missing() -> NoReturn:
    reason = "needs the server `postgresql`: apt-get install postgresql"
    if os.environ.get("CI", "").lower() in ("1", "true") or os.environ.get("ZMCACHE_REQUIRE_SERVERS") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """A server for as long as the block runs; skips, or fails, where none is installed."""
    bin_dir = _bin_dir()
    if bin_dir is None:
        _missing()
    user = _unprivileged_user()
    # Not pytest's folder, which only its owner may enter.
    folder = Path(tempfile.mkdtemp(prefix="zmcache-postgres-"))
    server = Postgres(folder, bin_dir, user)
    try:
        if user is not None:
            shutil.chown(folder, user)
        server.initialise()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
