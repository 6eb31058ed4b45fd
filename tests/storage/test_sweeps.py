"""Uploads and deletions that are broken off at any moment, and what becomes of what they leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.resources import files as resources
from pathlib import Path

import psycopg
import pytest

from services.mesh import errors, loops, names
from services.mesh.postgres import Database, migrate, open_database
from services.storage import files
from services.storage.blobs import Blobs, open_blobs
from services.storage.files import File, Purpose
from services.storage.store import Store
from services.storage.sweeps import sweep
from services.storage.uploads import Opening, Uploads
from tests.storage.calls import blob, blobs, until
from tests.storage.sounds import wav

MIGRATIONS = resources("services.storage") / "migrations"


@pytest.fixture
async def own_database(new_database: Callable[[], str]) -> AsyncIterator[Database]:
    async with open_database(new_database(), MIGRATIONS) as database:
        yield database


@pytest.fixture
def store(own_database: Database) -> Store:
    return Store(own_database)


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Blobs]:
    async with open_blobs(str(tmp_path / "root")) as opened:
        yield opened


async def receive(store: Store, kept: Blobs, owner: str, data: bytes = b"", *, renew_seconds: float = 60) -> File:
    async def pieces() -> AsyncIterator[bytes]:
        yield data or wav()

    with ThreadPoolExecutor(1) as threads:
        uploads = Uploads(store, kept, largest=1 << 20, spool=None, threads=threads, renew_seconds=renew_seconds)
        return await uploads.receive(Opening(owner, "", "", "", Purpose.RECORDING), pieces())


async def leases(database: Database) -> int:
    async with database.connection() as connection:
        (count,) = await (await connection.execute("SELECT count(*) FROM discards")).fetchone() or (None,)
        return int(count)


async def swept(database: Database) -> bool:
    return not await leases(database)


async def pass_time(database: Database) -> None:
    """Lets all leases run out."""
    async with database.connection() as connection:
        await connection.execute("UPDATE discards SET due = now() - interval '1 second' WHERE due > now()")


class Breaking(Blobs):
    """Writes, and then never returns or fails, as if the process had been killed there."""

    def __init__(self, within: Blobs) -> None:
        super().__init__(within._store, within._folder)
        self.written = asyncio.Event()

    async def write(self, id: str, file) -> None:
        await super().write(id, file)
        self.written.set()
        await asyncio.Event().wait()


async def test_an_upload_that_is_whole_leaves_nothing_to_sweep(own_database, store, kept, tmp_path: Path) -> None:
    file = await receive(store, kept, names.new_id())

    assert await leases(own_database) == 0
    await pass_time(own_database)
    assert await sweep(store, kept) == 0
    assert blob(tmp_path / "root", file.id).exists()


async def test_an_upload_that_is_broken_off_after_its_bytes_is_swept(own_database, store, kept, tmp_path: Path) -> None:
    breaking, owner = Breaking(kept), names.new_id()
    upload = asyncio.ensure_future(receive(store, breaking, owner))
    await breaking.written.wait()
    upload.cancel()
    await asyncio.wait([upload])
    left, early = len(blobs(tmp_path / "root")), await sweep(store, kept)
    await pass_time(own_database)

    late = await sweep(store, kept)

    assert (left, early, late) == (1, 0, 1)
    assert blobs(tmp_path / "root") == []
    assert await leases(own_database) == 0
    assert (await store.usage(owner, 1)).days == []


@pytest.mark.parametrize("done", [True, False], ids=["swept", "being swept"])
async def test_an_upload_whose_bytes_were_given_up_meanwhile_makes_no_file_and_leaves_nothing(
    own_database, store, kept, tmp_path: Path, done: bool
) -> None:
    class Slow(Blobs):
        async def write(self, id: str, file) -> None:
            await pass_time(own_database)
            await (sweep(store, kept) if done else store.claim_discards())
            await super().write(id, file)

    owner = names.new_id()
    with pytest.raises(errors.Unavailable) as raised:
        await receive(store, Slow(kept._store, kept._folder), owner)

    assert raised.value.reason == "UPLOAD_EXPIRED"
    assert (await store.usage(owner, 1)).stored_files == 0
    assert (await store.usage(owner, 1)).days == []
    assert blobs(tmp_path / "root") == []
    assert await leases(own_database) == 0


async def test_bytes_given_up_that_cannot_be_removed_now_go_with_the_next_sweep(
    own_database, store, kept, tmp_path: Path
) -> None:
    class Slow(Blobs):
        async def write(self, id: str, file) -> None:
            await pass_time(own_database)
            await sweep(store, kept)
            await super().write(id, file)

        async def remove(self, id: str) -> None:
            raise errors.Unavailable("OBJECTS_UNAVAILABLE", "down")

    with pytest.raises(errors.Unavailable) as raised:
        await receive(store, Slow(kept._store, kept._folder), names.new_id())
    left, removed = len(blobs(tmp_path / "root")), await sweep(store, kept)

    assert raised.value.reason == "UPLOAD_EXPIRED"
    assert (left, removed) == (1, 1)
    assert blobs(tmp_path / "root") == []


async def test_a_long_write_keeps_its_claim(own_database, store, kept, tmp_path: Path) -> None:
    class Slow(Blobs):
        async def write(self, id: str, file) -> None:
            await super().write(id, file)
            async with own_database.connection() as connection:
                await connection.execute("UPDATE discards SET due = now() + interval '10 seconds'")
            await until(renewed)

    async def renewed() -> bool:
        async with own_database.connection() as connection:
            found = await connection.execute("SELECT FROM discards WHERE due > now() + interval '10 minutes'")
            return found.rowcount == 1

    file = await receive(store, Slow(kept._store, kept._folder), names.new_id(), renew_seconds=0.01)

    assert blobs(tmp_path / "root") == [blob(tmp_path / "root", file.id)]
    assert await leases(own_database) == 0


async def test_a_claim_that_was_lost_is_not_renewed(own_database, store, kept) -> None:
    id = names.new_id()
    await store.reserve(id)
    await pass_time(own_database)
    claimed = await store.claim_discards()

    await store.renew(id)

    assert claimed == await store.claim_discards() == [id]


async def test_bytes_of_a_deleted_file_go_with_the_next_sweep(own_database, store, kept, tmp_path: Path) -> None:
    owner = names.new_id()
    file = await receive(store, kept, owner)
    await files.delete(owner, file.id, store=store)

    removed = await sweep(store, kept)

    assert removed == 1
    assert blobs(tmp_path / "root") == []


async def test_a_sweep_goes_on_after_an_object_store_that_failed(own_database, store, kept, tmp_path: Path) -> None:
    class Failing(Blobs):
        fail = True

        async def remove(self, id: str) -> None:
            if Failing.fail:
                Failing.fail = False
                raise errors.Unavailable("OBJECTS_UNAVAILABLE", "down")
            await super().remove(id)

    owner = names.new_id()
    for _ in range(3):
        await files.delete(owner, (await receive(store, kept, owner)).id, store=store)
    failing = Failing(kept._store, kept._folder)
    async with loops.repeating("sweep", partial(sweep, store, failing), 0.01):
        await until(lambda: swept(own_database))

    assert not Failing.fail
    assert blobs(tmp_path / "root") == []


async def test_sweeps_at_once_do_no_harm(own_database, store, kept, tmp_path: Path) -> None:
    owner = names.new_id()
    stays = await receive(store, kept, owner)
    for _ in range(20):
        await files.delete(owner, (await receive(store, kept, owner)).id, store=store)

    await asyncio.gather(*(sweep(store, kept) for _ in range(5)))

    assert blobs(tmp_path / "root") == [blob(tmp_path / "root", stays.id)]


async def test_ten_processes_migrate_at_once(new_database: Callable[[], str]) -> None:
    address = new_database()

    await asyncio.gather(*(migrate(address, MIGRATIONS) for _ in range(10)))

    async with await psycopg.AsyncConnection.connect(address) as connection:
        applied = await (await connection.execute("SELECT name FROM schema_migrations ORDER BY name")).fetchall()
    own = [file.name for file in MIGRATIONS.iterdir() if file.name.endswith(".sql")]
    assert [name for (name,) in applied] == sorted([*own, "mesh_0001_audit.sql"])
