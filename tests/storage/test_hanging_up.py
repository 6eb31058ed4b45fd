"""Callers who hang up in the middle of a download."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from services.mesh import identity, names
from services.mesh.identity import Caller, caller
from services.mesh.server import Application, Servicer
from services.mesh.settings import MeshSettings
from services.storage import files
from services.storage.files import File, Purpose
from services.storage.servicer import StorageServicer
from tests.peers import served
from tests.storage.calls import somebody


class Endless(storage_pb2_grpc.StorageServiceServicer):
    """Sends for ever, and notes who is being served when it is told to stop."""

    def __init__(self) -> None:
        self.sending = asyncio.Event()
        self.stopped: asyncio.Queue[str] = asyncio.Queue()

    async def DownloadFile(self, request, context) -> AsyncIterator[httpbody_pb2.HttpBody]:
        sent = 0
        try:
            while True:
                sent += 1
                if sent == 4:
                    self.sending.set()  # Nobody reads, and what has been sent fills all buffers: the next one waits.
                yield httpbody_pb2.HttpBody(data=bytes(3 << 20))
        finally:
            self.stopped.put_nowait(caller().user)


async def test_the_work_ends_at_once_and_as_the_callers(
    certificates: dict[str, Path], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    endless, owner = Endless(), somebody()

    @asynccontextmanager
    async def open_app(settings: MeshSettings) -> AsyncIterator[Application]:
        yield Application(
            [
                Servicer(
                    "voicemesh.storage.v1.StorageService",
                    lambda server: storage_pb2_grpc.add_StorageServiceServicer_to_server(endless, server),
                )
            ]
        )

    settings = MeshSettings(listen="127.0.0.1:0", tls=certificates["storage"], drain_seconds=0)
    async with served("storage", open_app, settings, certificates) as service, service.channel() as channel:
        stub = storage_pb2_grpc.StorageServiceStub(channel)
        call = stub.DownloadFile(storage_pb2.DownloadFileRequest(name="files/any"), metadata=owner)
        for _ in range(3):
            await call.read()
        await endless.sending.wait()
        call.cancel()
        stopped_for = await endless.stopped.get()
    gc.collect()
    await asyncio.sleep(0)

    logged = capfd.readouterr().out
    assert stopped_for == owner[0][1]
    assert "CANCELLED" in logged
    assert "call failed" not in logged
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_download_that_is_broken_off_closes_what_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    ended_in: list[object] = []

    async def pieces() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            ended_in.append(asyncio.current_task())

    async def read(*_: object, **__: object) -> object:
        return File(names.new_id(), "a", "audio/wav", 1, "", Purpose.RECORDING, None, datetime.now(UTC)), pieces()

    monkeypatch.setattr(files, "read", read)
    servicer = StorageServicer(None, None, None, None, None, idle_seconds=1)
    request = storage_pb2.DownloadFileRequest(name=f"files/{names.new_id()}")
    with identity.acting_for(Caller(somebody()[0][1])):
        answers = servicer.DownloadFile(request, AsyncMock())
        await anext(answers)
        await answers.aclose()

    assert ended_in == [asyncio.current_task()]
