"""Migrations and connections against real PostgreSQL servers."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import grpc
import psycopg
import pytest
from cryptography.fernet import Fernet
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc

from services.auth.app import open_app
from services.auth.settings import Settings
from services.local import postgres as embedded
from services.local.cluster import erase
from services.mesh import postgres
from services.mesh.status import reason
from services.voice import queue
from tests.peers import served

SERVICES = ("auth", "user", "storage", "voice")


def migrations(service: str) -> tuple[object, object]:
    """The folder of a service's migrations, and what its library brings."""
    return files(f"services.{service}") / "migrations", queue.install if service == "voice" else None


@pytest.mark.parametrize("service", SERVICES)
async def test_ten_processes_migrate_at_once(new_database: Callable[[], str], service: str) -> None:
    url = new_database()
    folder, also = migrations(service)

    await asyncio.gather(*(postgres.migrate(url, folder, also=also) for _ in range(10)))

    async with await psycopg.AsyncConnection.connect(url) as connection:
        rows = await (await connection.execute("SELECT name FROM schema_migrations")).fetchall()
    names = [name for (name,) in rows]
    assert len(names) == len(set(names))
    assert {each.name for each in folder.iterdir() if each.name.endswith(".sql")} <= set(names)


async def test_a_migration_that_fails_leaves_nothing(new_database: Callable[[], str], tmp_path: Path) -> None:
    url = new_database()
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE good ();")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE half (); SELECT 1/0;")

    with pytest.raises(psycopg.errors.DivisionByZero):
        await postgres.migrate(url, tmp_path)

    async with await psycopg.AsyncConnection.connect(url) as connection:
        row = await (await connection.execute("SELECT to_regclass('good'), to_regclass('half')")).fetchone()
    assert row == (None, None)


async def test_a_migration_that_has_changed_is_refused(new_database: Callable[[], str], tmp_path: Path) -> None:
    url = new_database()
    file = tmp_path / "0001_first.sql"
    file.write_text("CREATE TABLE first ();")
    await postgres.migrate(url, tmp_path)
    file.write_text("CREATE TABLE other ();")

    with pytest.raises(RuntimeError, match="has changed since"):
        await postgres.migrate(url, tmp_path)


async def test_without_a_database_calls_say_so_and_work_again_when_it_is_back(certificates: dict[str, Path]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="voicemesh-tests-"))
    folder.chmod(0o711)
    try:
        server = embedded.start(folder / "postgres", options=embedded.FAST)
        settings = Settings(
            listen="127.0.0.1:0",
            tls=certificates["auth"],
            database_url=server.create("outage"),
            key_encryption_key=Fernet.generate_key().decode(),
            bcrypt_cost=4,
            drain_seconds=0,
        )
        async with served("auth", open_app, settings, certificates) as running, running.channel() as channel:
            auth = auth_pb2_grpc.AuthServiceStub(channel)
            server.stop()
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await auth.Login(auth_pb2.LoginRequest(email="a@example.org", password="a password"))
            server = embedded.start(folder / "postgres", options=embedded.FAST)
            session = await auth.Register(auth_pb2.RegisterRequest(email="a@example.org", password="a password"))
        server.stop()
    finally:
        erase(folder / "postgres")
        shutil.rmtree(folder, ignore_errors=True)

    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
    assert reason(raised.value) == "DATABASE_UNAVAILABLE"
    assert "retry-after" in dict(raised.value.trailing_metadata())
    assert session.user
