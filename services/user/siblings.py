"""Siblings: auth, voice and storage, asked on behalf of the caller."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date

import grpc
import grpc.aio
from google.type import date_pb2
from voicemesh.audit.v1 import audit_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc
from voicemesh.voice.v1 import voice_pb2, voice_pb2_grpc

from services.mesh import errors
from services.mesh.deadlines import remaining
from services.mesh.identity import on_behalf
from services.user.usage import Day, Spoken, Stored
from services.user.users import Account

SECONDS = 5.0


@dataclass(frozen=True)
class Event:
    """An event of an audit log."""

    id: str
    message: audit_pb2.AuditEvent
    """As the service that did it tells it."""


class Siblings:
    """What the user service asks of others. One that does not answer makes the call UNAVAILABLE."""

    def __init__(self, auth: grpc.aio.Channel, voice: grpc.aio.Channel, storage: grpc.aio.Channel) -> None:
        self._auth = auth_pb2_grpc.AuthServiceStub(auth)
        self._voice = voice_pb2_grpc.VoiceServiceStub(voice)
        self._storage = storage_pb2_grpc.StorageServiceStub(storage)

    async def account(self) -> Account:
        """The caller's account.

        Raises:
            NotFound: there is none any more (USER_NOT_FOUND).
        """
        try:
            account = await self._auth.GetAccount(
                auth_pb2.GetAccountRequest(), metadata=on_behalf(), timeout=remaining(SECONDS)
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise errors.NotFound("USER_NOT_FOUND", "this account is gone") from error
            raise
        return Account(account.email, account.create_time.ToDatetime(UTC))

    async def spoken(self, days: int) -> Spoken:
        """What voice has done, with the last so many days one by one."""
        sums = await self._voice.SummarizeUsage(
            voice_pb2.SummarizeUsageRequest(days=days), metadata=on_behalf(), timeout=remaining(SECONDS)
        )
        by_day = [
            Day(
                to_date(day.date),
                voices_created=day.voices_created,
                characters=day.characters,
                audio_seconds=day.audio_seconds,
            )
            for day in sums.days
        ]
        return Spoken(dict(sums.voices_by_state), sums.characters, sums.audio_seconds, by_day)

    async def stored(self, days: int) -> Stored:
        """What storage keeps, with the last so many days one by one."""
        sums = await self._storage.SummarizeUsage(
            storage_pb2.SummarizeUsageRequest(days=days), metadata=on_behalf(), timeout=remaining(SECONDS)
        )
        by_day = [Day(to_date(day.date), uploaded_bytes=day.uploaded_bytes) for day in sums.days]
        return Stored(sums.stored_bytes, sums.stored_files, by_day)

    async def events(self, before: str, limit: int) -> list[Sequence[Event]]:
        """What auth, voice and storage have each written into the caller's audit log: so many events at most, newest
        first, of those before the one with this id."""
        request = audit_pb2.ReadAuditLogRequest(before=before, limit=limit)
        asked = [
            stub.ReadAuditLog(request, metadata=on_behalf(), timeout=remaining(SECONDS))
            for stub in (self._auth, self._voice, self._storage)
        ]
        answers = await asyncio.gather(*asked)
        return [[Event(each.name.rpartition("/")[2], each) for each in answer.events] for answer in answers]


def to_date(day: date_pb2.Date) -> date:
    """A calendar day."""
    return date(day.year, day.month, day.day)
