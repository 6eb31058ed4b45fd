"""The storage service, as voices and speeches need it; always on behalf of the caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import IO

import grpc
import grpc.aio
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from services.mesh import deadlines, errors
from services.mesh.identity import on_behalf
from services.mesh.status import info, reason
from services.voice.voices import Found

CONTRACT = "voicemesh.storage.v1.StorageService"
_SECONDS = 10.0
_TRANSFER_SECONDS = 120.0
_PIECE = 256 * 1024


class FileGone(Exception):
    """The file is not there (any more), or not the caller's."""


@dataclass(frozen=True)
class Stored:
    """Finished speech that is stored."""

    name: str
    """Resource name, `files/{file}`."""
    sha256: str
    """Of its bytes, 64 hexadecimal digits."""
    size: int
    """In bytes."""


class StorageClient:
    """Recordings come from here, finished speech goes there.

    Every method raises Unavailable (STORAGE_UNAVAILABLE) where storage does not answer.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub: storage_pb2_grpc.StorageServiceAsyncStub = storage_pb2_grpc.StorageServiceStub(channel)

    async def look(self, names: Sequence[str]) -> Found:
        """What there is of these recordings, up to the first that is not there, or not the caller's."""
        size, digests = 0, list[str]()
        for name in names:
            try:
                file = await self._stub.GetFile(
                    storage_pb2.GetFileRequest(name=name),
                    metadata=on_behalf(),
                    timeout=deadlines.remaining(_SECONDS),
                )
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.NOT_FOUND:
                    return Found(name, size)
                raise _unavailable(error) from error
            if file.purpose != storage_pb2.File.RECORDING:
                return Found(name, size)
            size += file.size_bytes
            digests.append(file.sha256)
        return Found(None, size, tuple(digests))

    async def read(self, name: str) -> bytes:
        """The bytes of a file.

        Raises:
            FileGone: it is not there.
        """
        call = self._stub.DownloadFile(
            storage_pb2.DownloadFileRequest(name=name),
            metadata=on_behalf(),
            timeout=deadlines.remaining(_TRANSFER_SECONDS),
        )
        try:
            return b"".join([piece.data async for piece in call])
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise FileGone(name) from None
            raise _unavailable(error) from error

    async def keep_speech(self, content: IO[bytes], content_type: str, display_name: str, request_id: str) -> Stored:
        """Stores finished speech, all of a file. With a request id of before, what was stored then stays, and is given.

        No two signatures are the same, so that speech which is spoken again differs from what it was.
        """

        async def pieces() -> AsyncIterator[storage_pb2.UploadFileRequest]:
            content.seek(0)
            first = True
            while data := await asyncio.to_thread(content.read, _PIECE):
                yield storage_pb2.UploadFileRequest(
                    content=httpbody_pb2.HttpBody(content_type=content_type if first else "", data=data),
                    display_name=display_name if first else "",
                    request_id=request_id if first else "",
                    purpose=storage_pb2.File.SPEECH if first else storage_pb2.File.PURPOSE_UNSPECIFIED,
                )
                first = False

        try:
            file = await self._stub.UploadFile(
                pieces(), metadata=on_behalf(), timeout=deadlines.remaining(_TRANSFER_SECONDS)
            )
        except grpc.aio.AioRpcError as error:
            if reason(error) != "REQUEST_ID_REUSED":
                raise _unavailable(error) from error
            file = await self._stored(info(error).metadata["name"])
        return Stored(file.name, file.sha256, file.size_bytes)

    async def _stored(self, name: str) -> storage_pb2.File:
        """A file of finished speech. Nobody but the platform stores such: what a user has stored is not vouched for."""
        try:
            file = await self._stub.GetFile(
                storage_pb2.GetFileRequest(name=name), metadata=on_behalf(), timeout=deadlines.remaining(_SECONDS)
            )
        except grpc.aio.AioRpcError as error:
            raise _unavailable(error) from error
        if file.purpose != storage_pb2.File.SPEECH:
            raise RuntimeError(f"{name} is no speech, and has the request id of one")
        return file

    async def remove(self, name: str) -> None:
        """Removes a file; one that is not there is fine."""
        try:
            await self._stub.DeleteFile(
                storage_pb2.DeleteFileRequest(name=name), metadata=on_behalf(), timeout=deadlines.remaining(_SECONDS)
            )
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise _unavailable(error) from error


def _unavailable(error: grpc.aio.AioRpcError) -> Exception:
    """Silence of storage as our own error; anything else it says is a defect of ours, and stays what it is."""
    silent = (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.INTERNAL,
    )
    if error.code() in silent:
        return errors.Unavailable(
            "STORAGE_UNAVAILABLE", "the storage service does not answer just now", retry_after=2, said=reason(error)
        )
    return error
