"""Calls of the storage service, as clients make them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import grpc
import grpc.aio
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2

from services.mesh import names
from tests.peers import Metadata, signed_in

BOUNDARY = "----formboundary7MA4YWxk"
Messages = Iterator[storage_pb2.UploadFileRequest] | AsyncIterator[storage_pb2.UploadFileRequest]

FORM = f"multipart/form-data; boundary={BOUNDARY}"


def somebody() -> Metadata:
    """A user whom nobody has seen before."""
    return signed_in(names.new_id())


def messages(
    data: bytes, *, content_type: str = "application/octet-stream", piece: int = 64 * 1024, **fields: object
) -> Iterator[storage_pb2.UploadFileRequest]:
    """An upload as Envoy makes it of a body: everything else is in the first message."""
    first = storage_pb2.UploadFileRequest(**fields)
    first.content.CopyFrom(httpbody_pb2.HttpBody(content_type=content_type, data=data[:piece]))
    yield first
    for start in range(piece, len(data), piece):
        yield storage_pb2.UploadFileRequest(content=httpbody_pb2.HttpBody(data=data[start : start + piece]))


async def send(stub, owner: Metadata, make: Callable[[], Messages]) -> storage_pb2.File:
    """Makes an upload of messages.

    A service that refuses an upload early may meet a write of ours, and then this client forgets what it
    answered (https://github.com/grpc/grpc/issues/36066): such an upload is sent again.
    """
    while True:
        try:
            return await stub.UploadFile(make(), metadata=owner)
        except grpc.aio.AioRpcError as error:
            if error.details() != "Internal error from Core":
                raise


async def upload(stub, owner: Metadata, data: bytes, **fields: object) -> storage_pb2.File:
    return await send(stub, owner, lambda: messages(data, **fields))


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    """Waits for something that nobody announces."""
    while not await true():
        await asyncio.sleep(0.01)


def part(name: str, data: bytes, file_name: str | None = None) -> bytes:
    """One part of a form."""
    told = "" if file_name is None else f'; filename="{file_name}"'
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{told}\r\n'
    return head.encode() + b"Content-Type: application/octet-stream\r\n\r\n" + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole form."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def blob(root: Path, file: storage_pb2.File | str) -> Path:
    """Where the bytes of a file are."""
    name = file if isinstance(file, str) else file.name
    id = name.removeprefix("files/")
    return root / id[-2:] / id


def blobs(root: Path) -> list[Path]:
    """All bytes that are kept, and anything else that lies about."""
    return sorted(path for path in root.rglob("*") if path.is_file() and path != root / "voicemesh")
