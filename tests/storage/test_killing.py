"""A process that is killed at the worst moment of an upload, and what the next one finds."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import grpc.aio
import psycopg
from cryptography.fernet import Fernet
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from tests.peers import Served
from tests.storage.calls import blobs, somebody, until, upload
from tests.storage.sounds import wav


@asynccontextmanager
async def process(environment: dict[str, str]) -> AsyncIterator[subprocess.Popen[bytes]]:
    """The service as a process of its own, which does not outlive the block."""
    running = await asyncio.to_thread(
        subprocess.Popen,
        [sys.executable, "-m", "services.storage"],
        env={**os.environ, **environment, "PYTHONPATH": os.pathsep.join([".", "gen"])},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


async def stored_waiting(watch: psycopg.AsyncConnection) -> bool:
    """Whether an upload waits to be entered among the files, which comes after its bytes."""
    found = await watch.execute(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND query LIKE 'INSERT INTO files%'"
    )
    return found.rowcount == 1


async def alone(watch: psycopg.AsyncConnection) -> bool:
    """Whether the database has noticed that the process is gone."""
    found = await watch.execute(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        " AND pid <> pg_backend_pid()"
    )
    return found.rowcount == 0


async def rows(watch: psycopg.AsyncConnection) -> dict[str, int]:
    """How much the database knows."""
    query = "SELECT (SELECT count(*) FROM files), (SELECT count(*) FROM uploads), (SELECT count(*) FROM discards)"
    found = await (await watch.execute(query)).fetchone() or ()
    return dict(zip(("files", "uploads", "discards"), found, strict=True))


async def test_a_process_killed_between_the_bytes_and_the_file_leaves_nothing_for_good(
    new_database: Callable[[], str], certificates: dict[str, Path], free_port: Callable[[], int], tmp_path: Path
) -> None:
    address, port = new_database(), free_port()
    root, spool = tmp_path / "root", tmp_path / "spool"
    spool.mkdir()
    settings = {
        "LISTEN": f"127.0.0.1:{port}",
        "TLS": str(certificates["storage"]),
        "DATABASE_URL": address,
        "ROOT": str(root),
        "SPOOL": str(spool),
        "PAGE_TOKEN_KEY": Fernet.generate_key().decode(),
        "SWEEP_SECONDS": "0.1",
    }
    environment = {f"VOICEMESH_STORAGE_{name}": value for name, value in settings.items()}
    connect = partial(psycopg.AsyncConnection.connect, address, autocommit=True)
    async with await connect() as watch, Served("storage", port, certificates).channel() as channel:
        async with process(environment) as killed:
            stub = storage_pb2_grpc.StorageServiceStub(channel)
            await stub.ListFiles(storage_pb2.ListFilesRequest(), metadata=somebody(), wait_for_ready=True, timeout=60)
            async with await connect() as lock, lock.transaction():
                await lock.execute("LOCK TABLE files IN EXCLUSIVE MODE")
                call = asyncio.ensure_future(upload(stub, somebody(), wav()))
                async with asyncio.timeout(10):
                    await until(partial(stored_waiting, watch))
                killed.send_signal(signal.SIGKILL)
                killed.wait()
                with suppress(grpc.aio.AioRpcError):
                    await call
        async with asyncio.timeout(10):
            await until(partial(alone, watch))
        orphaned, known, spooled = len(blobs(root)), await rows(watch), list(spool.iterdir())
        await watch.execute("UPDATE discards SET due = now() WHERE due > now()")

        async with process(environment), asyncio.timeout(30):
            while blobs(root) or (await rows(watch))["discards"]:
                await asyncio.sleep(0.05)
        left = await rows(watch)

    assert (orphaned, known, spooled) == (1, {"files": 0, "uploads": 0, "discards": 1}, [])
    assert left == {"files": 0, "uploads": 0, "discards": 0}
