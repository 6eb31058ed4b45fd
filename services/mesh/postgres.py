"""A service's own database: connections, migrations, and whether it answers."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import psycopg
import structlog
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from services.mesh import errors

log: structlog.stdlib.BoundLogger = structlog.get_logger("postgres")

Connection = psycopg.AsyncConnection[TupleRow]
Migration = Callable[[Connection], Awaitable[None]]

OLDEST_VERSION = 150000
_MIGRATION_LOCK = 0x766F6963656D6573  # "voicemes": any number that nothing else in the database locks
_RETRY_SECONDS = 1.0
_SHARED = files("services.mesh") / "migrations"
"""What every service's database has: the audit log."""


class Database:
    """Connections to one service's database."""

    def __init__(self, url: str, pool: AsyncConnectionPool[Connection]) -> None:
        self.url = url
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection in a transaction: committed at the end of the block, rolled back on an error.

        Raises:
            InvalidArgument: a value cannot be stored (UNSTORABLE_VALUE).
            Unavailable: the database does not answer (DATABASE_UNAVAILABLE).
        """
        try:
            async with self._pool.connection() as connection:
                yield connection
        except psycopg.DataError as error:
            # Such as a NUL in a text: the contract should have said so first.
            log.warning("database refused a value", error=type(error).__name__)
            raise errors.InvalidArgument("UNSTORABLE_VALUE", "a value of the request cannot be stored") from error
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout) as error:
            log.warning("database unavailable", error=type(error).__name__)
            raise errors.Unavailable(
                "DATABASE_UNAVAILABLE", "the database does not answer just now", retry_after=2
            ) from error

    async def ping(self) -> None:
        """Returns if the database answers.

        Raises:
            Unavailable: it does not (DATABASE_UNAVAILABLE).
        """
        async with self.connection() as connection:
            await connection.execute("SELECT 1")


@asynccontextmanager
async def open_database(
    url: str,
    migrations: Traversable,
    *,
    also: Migration | None = None,
    connections: int = 8,
) -> AsyncIterator[Database]:
    """Waits for the database, brings its schema up to date, and keeps a pool of connections.

    Processes may start in any order, so a database that is not there yet is waited for; one that
    is too old or whose schema cannot be migrated is an error at once. `also` runs each
    time under the same lock, for schemas that come from a library.

    Raises:
        RuntimeError: the server is older than PostgreSQL 15, the database is not in UTF8, or a migration that was
            applied has changed since.
        psycopg.Error: a migration is wrong.
    """
    while True:
        try:
            await migrate(url, migrations, also=also)
            break
        except psycopg.OperationalError as error:
            log.warning("waiting for the database", error=str(error).splitlines()[0] if str(error) else "")
            await asyncio.sleep(_RETRY_SECONDS)
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=connections,
        timeout=5,
        open=False,
        check=AsyncConnectionPool.check_connection,
        kwargs={"connect_timeout": 5, "options": "-c statement_timeout=15s -c idle_in_transaction_session_timeout=60s"},
    )
    async with pool:
        yield Database(url, pool)


async def migrate(url: str, migrations: Traversable, *, also: Migration | None = None) -> None:
    """Applies every numbered SQL file that has not been applied, in order, all or nothing: those that every service's
    database has, then those of `migrations`.

    Any number of processes may do this at once: a PostgreSQL advisory lock lets one through at
    a time, and vanishes with its holder.
    """
    found = [file for folder in (_SHARED, migrations) for file in _in_order(folder)]
    async with await psycopg.AsyncConnection.connect(url, connect_timeout=5) as connection:
        if connection.info.server_version < OLDEST_VERSION:
            raise RuntimeError(f"PostgreSQL {connection.info.server_version // 10000} is too old: 15 at least")
        if connection.info.parameter_status("server_encoding") != "UTF8":
            raise RuntimeError(f"the database {connection.info.dbname} is not encoded in UTF8")
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", [_MIGRATION_LOCK])
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations ("
            " name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = await _applied(connection)
        if also is not None:
            await also(connection)
        for file in found:
            await _apply(connection, file, applied)


def _in_order(folder: Traversable) -> list[Traversable]:
    return sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)


async def _applied(connection: Connection) -> dict[str, str]:
    rows = await (await connection.execute("SELECT name, sha256 FROM schema_migrations")).fetchall()
    return dict(rows)


async def _apply(connection: Connection, file: Traversable, applied: dict[str, str]) -> None:
    sql = file.read_bytes()
    digest = hashlib.sha256(sql).hexdigest()
    if file.name in applied:
        if applied[file.name] != digest:
            raise RuntimeError(f"migration {file.name} was applied and has changed since")
        return
    await connection.execute(sql)
    await _record(connection, file.name, digest)
    log.info("migrated", migration=file.name)


async def _record(connection: Connection, name: str, digest: str) -> None:
    parameters: tuple[Any, ...] = (name, digest)
    await connection.execute("INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)", parameters)
