"""An embedded PostgreSQL: reached over a Unix socket by this user alone, with a database and a role per service."""

import contextlib
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import psycopg
from filelock import FileLock, Timeout
from psycopg import sql

from services.local import binaries, cluster, postmaster
from services.local.cluster import Cluster
from services.local.errors import AlreadyRunningError

DATABASES = tuple(f"voicemesh_{service}" for service in ("auth", "user", "storage", "voice"))
OPTIONS = {"max_connections": "200", "timezone": "UTC", "log_timezone": "UTC", "log_min_messages": "warning"}
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
"""For tests: nothing survives a power cut, and everything is several times faster."""


class Postgres:
    """A running server. Made by `start`; dies with the thread that started it, so start it from the main thread."""

    def __init__(self, place: Cluster, launch: Callable[[], subprocess.Popen[bytes]], lock: FileLock) -> None:
        """Launches the server; `start` makes the parts."""
        self._place = place
        self._launch = launch
        self._lock = lock
        self._process = launch()

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    @property
    def socket(self) -> Path:
        """The folder of the socket."""
        return self._place.socket

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._process.poll() is None

    def url(self, database: str, role: str | None = None) -> str:
        """The address of a database, as its own role unless told otherwise."""
        role = role or (postmaster.SUPERUSER if database == "postgres" else database)
        return postmaster.address(self._place, database, role)

    def create(self, database: str) -> str:
        """Adds a database with a role of the same name, which alone may connect to it; returns its address."""
        name = sql.Identifier(database)
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [database]).rowcount:
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
            if not connection.execute("SELECT FROM pg_database WHERE datname = %s", [database]).rowcount:
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
            connection.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
        return self.url(database)

    def drop(self, database: str) -> None:
        """Removes a database and its role, whoever is connected."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(database)))

    def revive(self) -> None:
        """Starts the server again after it died; what was committed is there."""
        self._process = self._launch()

    def stop(self) -> None:
        """Stops the server cleanly: it ends the sessions, writes a checkpoint and goes."""
        if self.alive():
            self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(postmaster.STOP_LIMIT)
        except subprocess.TimeoutExpired:
            # SIGQUIT: it goes at once and recovers from its log at the next start, losing nothing.
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()
        self._lock.release()


@contextlib.contextmanager
def running(
    state: Path,
    *,
    databases: Iterable[str] = DATABASES,
    options: Mapping[str, str] | None = None,
    log: Path | None = None,
    home: Path | None = None,
) -> Iterator[Postgres]:
    """A server for as long as the block runs; see `start`."""
    server = start(state, databases=databases, options=options, log=log, home=home)
    try:
        yield server
    finally:
        server.stop()


def start(
    state: Path,
    *,
    databases: Iterable[str] = DATABASES,
    options: Mapping[str, str] | None = None,
    log: Path | None = None,
    home: Path | None = None,
) -> Postgres:
    """Starts the server of a state's `postgres` folder, making it at the first time, and waits until it answers.

    `options` are server settings over the defaults (durable); `home` is where root keeps what the
    server's account must reach. Raises AlreadyRunningError if the folder is in use.
    """
    place = cluster.locate(state, home)
    lock = FileLock(state / "lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise AlreadyRunningError(f"another process runs the database in {state}") from None
    try:
        programs = binaries.programs(place.account, home)
        settings = {**OPTIONS, **(options or {})}
        log = log or state / "postgres.log"
        durable = settings.get("fsync") != "off"
        postmaster.initialise(place, programs, durable=durable, log=log)

        def launch() -> subprocess.Popen[bytes]:
            postmaster.clear(place)
            return postmaster.launch(place, programs, settings, log)

        server = Postgres(place, launch, lock)
        try:
            for database in databases:
                server.create(database)
        except BaseException:
            server.stop()
            raise
        return server
    except BaseException:
        lock.release()
        raise
