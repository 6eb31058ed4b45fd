"""The embedded PostgreSQL comes back when it is killed under a running mesh."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from services.local import cluster
from services.local.database import embedded


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "postgres"
    cluster.erase(tmp_path / "postgres")


async def test_a_killed_server_comes_back_with_its_data(folder: Path, tmp_path: Path) -> None:
    changed = asyncio.Event()
    async with embedded(folder, tmp_path / "log", None) as database:
        watch = asyncio.create_task(database.watch(changed.set, print))
        with psycopg.connect(database.server.url("voicemesh_auth"), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        psutil.Process(database.server.pid).kill()
        await asyncio.wait_for(changed.wait(), 60)
        with psycopg.connect(database.server.url("voicemesh_auth")) as connection:
            row = connection.execute("SELECT number FROM kept").fetchone()
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch

    assert row == (7,)
    assert database.restarts == 1
    assert not database.server.alive()
