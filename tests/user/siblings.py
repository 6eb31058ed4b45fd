"""Auth, voice and storage as the user service sees them, with answers that a test chooses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from google.type import date_pb2
from voicemesh.audit.v1 import audit_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc
from voicemesh.voice.v1 import voice_pb2, voice_pb2_grpc

from services.mesh import errors
from services.mesh.identity import Caller, caller
from services.mesh.server import Application, Servicer
from services.mesh.settings import MeshSettings
from tests.peers import Served, served


@dataclass
class Answers:
    """What the siblings answer, and whom they were called for."""

    accounts: dict[str, auth_pb2.Account] = field(default_factory=dict)
    spoken: voice_pb2.SummarizeUsageResponse = field(default_factory=voice_pb2.SummarizeUsageResponse)
    stored: storage_pb2.SummarizeUsageResponse = field(default_factory=storage_pb2.SummarizeUsageResponse)
    callers: list[Caller] = field(default_factory=list)
    days: list[int] = field(default_factory=list)
    events: dict[str, list[str]] = field(default_factory=dict)
    """Ids of the events in the audit log of each process, newest first."""
    silent: set[str] = field(default_factory=set)
    """Processes that take calls and never answer."""
    together: asyncio.Barrier | None = None
    """If set, voice and storage answer only once both have been asked."""

    async def called(self, process: str) -> None:
        self.callers.append(caller())
        if process in self.silent:
            await asyncio.Event().wait()
        if self.together is not None:
            await self.together.wait()

    async def log(self, process: str, request: audit_pb2.ReadAuditLogRequest) -> audit_pb2.ReadAuditLogResponse:
        await self.called(process)
        found = [id for id in self.events.get(process, []) if not request.before or id < request.before]
        events = [
            audit_pb2.AuditEvent(name=f"users/{caller().user}/auditEvents/{id}", service=process)
            for id in found[: request.limit]
        ]
        return audit_pb2.ReadAuditLogResponse(events=events)


class Auth(auth_pb2_grpc.AuthServiceServicer):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def GetAccount(self, request, context) -> auth_pb2.Account:
        await self._answers.called("auth")
        account = self._answers.accounts.get(caller().user)
        if account is None:
            raise errors.NotFound("ACCOUNT_NOT_FOUND", "there is no such account")
        return account

    async def ReadAuditLog(self, request, context) -> audit_pb2.ReadAuditLogResponse:
        return await self._answers.log("auth", request)


class Voice(voice_pb2_grpc.VoiceServiceServicer):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def SummarizeUsage(self, request, context) -> voice_pb2.SummarizeUsageResponse:
        self._answers.days.append(request.days)
        await self._answers.called("voice")
        return self._answers.spoken

    async def ReadAuditLog(self, request, context) -> audit_pb2.ReadAuditLogResponse:
        return await self._answers.log("voice", request)


class Storage(storage_pb2_grpc.StorageServiceServicer):
    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def SummarizeUsage(self, request, context) -> storage_pb2.SummarizeUsageResponse:
        self._answers.days.append(request.days)
        await self._answers.called("storage")
        return self._answers.stored

    async def ReadAuditLog(self, request, context) -> audit_pb2.ReadAuditLogResponse:
        return await self._answers.log("storage", request)


KINDS = {
    "auth": ("voicemesh.auth.v1.AuthService", Auth, auth_pb2_grpc.add_AuthServiceServicer_to_server),
    "voice": ("voicemesh.voice.v1.VoiceService", Voice, voice_pb2_grpc.add_VoiceServiceServicer_to_server),
    "storage": (
        "voicemesh.storage.v1.StorageService",
        Storage,
        storage_pb2_grpc.add_StorageServiceServicer_to_server,
    ),
}


@asynccontextmanager
async def siblings(answers: Answers, certificates: dict[str, Path]) -> AsyncIterator[dict[str, Served]]:
    """All three, each being served by its name."""
    async with AsyncExitStack() as stack:
        running = {}
        for process in KINDS:
            settings = MeshSettings(listen="127.0.0.1:0", tls=certificates[process], drain_seconds=0)
            running[process] = await stack.enter_async_context(
                served(process, opener(process, answers), settings, certificates)
            )
        yield running


def opener(process: str, answers: Answers):
    contract, kind, register = KINDS[process]

    @asynccontextmanager
    async def open_app(settings: MeshSettings) -> AsyncIterator[Application]:
        yield Application([Servicer(contract, lambda server: register(kind(answers), server))])

    return open_app


def day(year: int, month: int, number: int) -> date_pb2.Date:
    return date_pb2.Date(year=year, month=month, day=number)
