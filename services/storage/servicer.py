"""Protobuf in, one domain call, protobuf out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

from google.api import httpbody_pb2
from google.protobuf import empty_pb2
from voicemesh.audit.v1 import audit_pb2
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from services.mesh import names
from services.mesh.audit.log import AuditLog
from services.mesh.identity import caller
from services.mesh.interceptors import Context
from services.mesh.pages import PageTokens
from services.mesh.times import day, duration, timestamp
from services.storage import files, sweeps, uploads
from services.storage.blobs import Blobs
from services.storage.files import File, Purpose
from services.storage.store import Store
from services.storage.uploads import Uploads

Messages = AsyncIterator[storage_pb2.UploadFileRequest]


class StorageServicer(storage_pb2_grpc.StorageServiceServicer):
    """voicemesh.storage.v1.StorageService"""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        incoming: Uploads,
        tokens: PageTokens,
        audit: AuditLog,
        *,
        idle_seconds: float,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._uploads = incoming
        self._tokens = tokens
        self._audit = audit
        self._idle_seconds = idle_seconds

    async def UploadFile(self, request_iterator: Messages, context: Context) -> storage_pb2.File:
        messages = uploads.patient(request_iterator, self._idle_seconds)
        first = await anext(messages, storage_pb2.UploadFileRequest())
        opening = uploads.Opening(
            owner=caller().user,
            content_type=first.content.content_type,
            display_name=first.display_name,
            request_id=first.request_id,
            purpose=uploads.allow(to_purpose(first.purpose), caller().peer),
        )
        return to_proto(await self._uploads.receive(opening, _bytes(first, messages)))

    async def GetFile(self, request: storage_pb2.GetFileRequest, context: Context) -> storage_pb2.File:
        return to_proto(await files.get(caller().user, to_id(request.name), store=self._store))

    async def ListFiles(self, request: storage_pb2.ListFilesRequest, context: Context) -> storage_pb2.ListFilesResponse:
        purpose = to_purpose(request.purpose)
        query = (caller().user, purpose)
        page = self._tokens.page(request.page_size, request.page_token, *query)
        found, token = self._tokens.cut(await self._store.files(caller().user, purpose, page), page, *query)
        return storage_pb2.ListFilesResponse(files=[to_proto(file) for file in found], next_page_token=token)

    async def DownloadFile(
        self, request: storage_pb2.DownloadFileRequest, context: Context
    ) -> AsyncIterator[httpbody_pb2.HttpBody]:
        file, pieces = await files.read(caller().user, to_id(request.name), store=self._store, blobs=self._blobs)
        await context.send_initial_metadata(
            (
                ("content-disposition", f"attachment; filename*=UTF-8''{quote(files.download_name(file), safe='')}"),
                ("x-content-type-options", "nosniff"),
            )
        )
        content_type = file.content_type
        async with aclosing(pieces):
            async for piece in pieces:
                yield httpbody_pb2.HttpBody(content_type=content_type, data=piece)
                content_type = ""

    async def DeleteFile(self, request: storage_pb2.DeleteFileRequest, context: Context) -> empty_pb2.Empty:
        id = to_id(request.name)
        await files.delete(caller().user, id, store=self._store)
        await sweeps.discard(id, store=self._store, blobs=self._blobs)
        return empty_pb2.Empty()

    async def SummarizeUsage(
        self, request: storage_pb2.SummarizeUsageRequest, context: Context
    ) -> storage_pb2.SummarizeUsageResponse:
        usage = await self._store.usage(caller().user, request.days)
        return storage_pb2.SummarizeUsageResponse(
            stored_bytes=usage.stored_bytes,
            stored_files=usage.stored_files,
            days=[
                storage_pb2.SummarizeUsageResponse.Day(date=day(each.date), uploaded_bytes=each.uploaded_bytes)
                for each in usage.days
            ],
        )

    async def ReadAuditLog(
        self, request: audit_pb2.ReadAuditLogRequest, context: Context
    ) -> audit_pb2.ReadAuditLogResponse:
        return await self._audit.read(caller().user, request)


def to_proto(file: File) -> storage_pb2.File:
    """The file as its owner sees it."""
    return storage_pb2.File(
        name=names.join("files", file.id),
        display_name=file.display_name,
        content_type=file.content_type,
        size_bytes=file.size,
        sha256=file.sha256,
        purpose=storage_pb2.File.Purpose.Value(file.purpose),
        duration=duration(file.seconds),
        create_time=timestamp(file.created_at),
    )


def to_purpose(purpose: storage_pb2.File.Purpose.ValueType) -> Purpose:
    """The purpose that is meant; RECORDING where none is told."""
    return Purpose(storage_pb2.File.Purpose.Name(purpose)) if purpose else Purpose.RECORDING


def to_id(name: str) -> str:
    """The id in `files/{file}`."""
    return names.id_of(name, "files", "FILE_NOT_FOUND")


async def _bytes(first: storage_pb2.UploadFileRequest, rest: Messages) -> AsyncIterator[bytes]:
    yield first.content.data
    async for message in rest:
        yield message.content.data
