"""A caller who hangs up in the middle of a download."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from services.mesh.identity import caller
from services.mesh.server import Application, Servicer
from services.mesh.settings import MeshSettings
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
