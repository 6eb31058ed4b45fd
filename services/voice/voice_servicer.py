"""Voices: protobuf in, one domain call, protobuf out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from google.protobuf import empty_pb2
from voicemesh.audit.v1 import audit_pb2
from voicemesh.voice.v1 import voice_pb2, voice_pb2_grpc

from services.mesh import errors, masks, names, status
from services.mesh.audit.log import AuditLog
from services.mesh.identity import caller
from services.mesh.interceptors import Context
from services.mesh.pages import PageTokens
from services.mesh.requests import digest
from services.mesh.times import day, duration, timestamp
from services.voice import refining, voices
from services.voice.consent_servicer import to_proto as consent_to_proto
from services.voice.consents import Given
from services.voice.engine.port import Depth
from services.voice.host import EngineHost
from services.voice.jobs import Failure, Request
from services.voice.refinements import Refinement, Wish
from services.voice.settings import Settings
from services.voice.storage_client import StorageClient
from services.voice.store import Store
from services.voice.voices import NewVoice, Voice
from services.voice.watch import Watching


class VoiceServicer(voice_pb2_grpc.VoiceServiceServicer):
    """voicemesh.voice.v1.VoiceService"""

    def __init__(
        self,
        store: Store,
        storage: StorageClient,
        watching: Watching,
        tokens: PageTokens,
        engine: EngineHost,
        audit: AuditLog,
        settings: Settings,
    ) -> None:
        self._store = store.voices
        self._refinements = store.refinements
        self._usage = store.usage
        self._storage = storage
        self._watching = watching
        self._tokens = tokens
        self._engine = engine
        self._audit = audit
        self._settings = settings

    async def CreateVoice(self, request: voice_pb2.CreateVoiceRequest, context: Context) -> voice_pb2.Voice:
        new = NewVoice(
            owner=caller().user,
            display_name=request.voice.display_name,
            description=request.voice.description,
            recordings=tuple(request.voice.recordings),
            consent=_given(request.voice.consent),
            request=Request(request.request_id, digest(request)),
            transcripts=_texts(request.voice.transcripts),
            refinement_depth=_wish(request.voice.refinement_depth),
            check=self._settings.consent_check,
        )
        largest = self._settings.largest_recordings_bytes
        return to_proto(await voices.create(new, store=self._store, recordings=self._storage, largest=largest))

    async def GetVoice(self, request: voice_pb2.GetVoiceRequest, context: Context) -> voice_pb2.Voice:
        return to_proto(await voices.get(caller().user, _id(request.name), store=self._store))

    async def ListVoices(self, request: voice_pb2.ListVoicesRequest, context: Context) -> voice_pb2.ListVoicesResponse:
        query = (caller().user, "voices")
        page = self._tokens.page(request.page_size, request.page_token, *query)
        found, token = self._tokens.cut(await self._store.list(caller().user, page), page, *query)
        return voice_pb2.ListVoicesResponse(voices=map(to_proto, found), next_page_token=token)

    async def UpdateVoice(self, request: voice_pb2.UpdateVoiceRequest, context: Context) -> voice_pb2.Voice:
        changes = masks.changes(request.voice, request.update_mask)
        id = _id(request.voice.name)
        return to_proto(await voices.update(caller().user, id, changes, request.voice.etag, store=self._store))

    async def DeleteVoice(self, request: voice_pb2.DeleteVoiceRequest, context: Context) -> empty_pb2.Empty:
        await voices.delete(caller().user, _id(request.name), store=self._store)
        return empty_pb2.Empty()

    async def CancelVoice(self, request: voice_pb2.CancelVoiceRequest, context: Context) -> voice_pb2.Voice:
        return to_proto(await voices.cancel(caller().user, _id(request.name), store=self._store))

    async def RetryVoice(self, request: voice_pb2.RetryVoiceRequest, context: Context) -> voice_pb2.Voice:
        id = _id(request.name)
        model_hash = self._engine.info.model_hash
        voice = await voices.retry(
            caller().user, id, store=self._store, recordings=self._storage, model_hash=model_hash
        )
        return to_proto(voice)

    async def RefineVoice(self, request: voice_pb2.RefineVoiceRequest, context: Context) -> voice_pb2.Voice:
        voice = await refining.refine(
            caller().user,
            _id(request.name),
            Depth(_wish(request.depth) or Wish.STANDARD),
            _texts(request.transcripts),
            store=self._store,
            refinements=self._refinements,
            recordings=self._storage,
        )
        return to_proto(voice)

    async def CancelRefinement(self, request: voice_pb2.CancelRefinementRequest, context: Context) -> voice_pb2.Voice:
        id = _id(request.name)
        return to_proto(await refining.cancel(caller().user, id, store=self._store, refinements=self._refinements))

    async def WatchVoice(
        self, request: voice_pb2.WatchVoiceRequest, context: Context
    ) -> AsyncIterator[voice_pb2.WatchVoiceResponse]:
        owner, id = caller().user, _id(request.name)
        events = self._watching.follow(
            f"voices/{id}",
            lambda: voices.get(owner, id, store=self._store),
            ended=lambda seen: seen.settled if request.include_refinement else seen.state.final,
        )
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Voice):
                    yield voice_pb2.WatchVoiceResponse(voice=to_proto(event))
                elif isinstance(event, errors.MeshError):
                    yield voice_pb2.WatchVoiceResponse(error=status.to_proto(event))
                else:
                    yield voice_pb2.WatchVoiceResponse(keep_alive=True)

    async def SummarizeUsage(
        self, request: voice_pb2.SummarizeUsageRequest, context: Context
    ) -> voice_pb2.SummarizeUsageResponse:
        summary = await self._usage.summarize(caller().user, request.days)
        return voice_pb2.SummarizeUsageResponse(
            voices_by_state=summary.voices_by_state,
            characters=summary.characters,
            audio_seconds=summary.audio_seconds,
            days=[
                voice_pb2.SummarizeUsageResponse.Day(
                    date=day(each.date),
                    voices_created=each.voices_created,
                    characters=each.characters,
                    audio_seconds=each.audio_seconds,
                )
                for each in summary.days
            ],
        )

    async def ReadAuditLog(
        self, request: audit_pb2.ReadAuditLogRequest, context: Context
    ) -> audit_pb2.ReadAuditLogResponse:
        return await self._audit.read(caller().user, request)


def to_proto(voice: Voice) -> voice_pb2.Voice:
    """The voice as its owner sees it."""
    return voice_pb2.Voice(
        name=voice.name,
        display_name=voice.display_name,
        description=voice.description,
        recordings=voice.recordings,
        consent=consent_to_proto(voice.consent),
        state=voice_pb2.Voice.State.Value(voice.state),
        stage=voice.stage,
        progress_percent=voice.progress_percent,
        failure=failure_to_proto(voice.failure),
        level=voice_pb2.Voice.Level.Value(voice.level or "LEVEL_UNSPECIFIED"),
        engine=voice.engine,
        model_hash=voice.model_hash,
        report=_report_to_proto(voice),
        create_time=timestamp(voice.created_at),
        update_time=timestamp(voice.updated_at),
        ready_time=timestamp(voice.ready_at),
        etag=voice.etag,
        refinement_depth=voice_pb2.Refinement.Depth.Value(voice.refinement_depth or "DEPTH_UNSPECIFIED"),
        refinement=_refinement_to_proto(voice.refinement),
    )


def failure_to_proto(failure: Failure | None) -> voice_pb2.Failure | None:
    """Why a job failed."""
    return None if failure is None else voice_pb2.Failure(reason=failure.reason, message=failure.message)


def _report_to_proto(voice: Voice) -> voice_pb2.RecordingReport | None:
    if voice.report is None:
        return None
    found = voice.report
    report = voice_pb2.RecordingReport(
        speech_duration=duration(found["speech_seconds"]),
        signal_to_noise_db=found["snr_db"],
        clipping_ratio=found["clipping_ratio"],
        bandwidth_hertz=found["bandwidth_hz"],
        sample_rate_hertz=found["sample_rate"],
        notes=_notes(found),
        used_duration=duration(found["used_seconds"]),
    )
    if "parts" not in found:  # Learned before the engine had more to tell.
        return report
    report.MergeFrom(
        voice_pb2.RecordingReport(
            decay_duration=duration(found["decay_seconds"]),
            single_speaker_score=found["single_speaker"],
            expected_similarity=found["expected_similarity"],
            expectation=voice_pb2.RecordingReport.Expectation.Value(found["expectation"]),
            parts=[_part(part, voice.recordings[part["recording"]]) for part in found["parts"]],
        )
    )
    return report


def _part(found: dict[str, Any], recording: str) -> voice_pb2.RecordingReport.Part:
    return voice_pb2.RecordingReport.Part(
        recording=recording,
        speech_duration=duration(found["speech_seconds"]),
        used_duration=duration(found["used_seconds"]),
        signal_to_noise_db=found["snr_db"],
        clipping_ratio=found["clipping_ratio"],
        bandwidth_hertz=found["bandwidth_hz"],
        decay_duration=duration(found["decay_seconds"]),
        notes=_notes(found),
    )


def _notes(found: dict[str, Any]) -> list[voice_pb2.RecordingReport.Note]:
    return [voice_pb2.RecordingReport.Note(**note) for note in found["notes"]]


def _refinement_to_proto(refinement: Refinement | None) -> voice_pb2.Refinement | None:
    if refinement is None:
        return None
    return voice_pb2.Refinement(
        depth=voice_pb2.Refinement.Depth.Value(refinement.depth),
        state=voice_pb2.Refinement.State.Value(refinement.state),
        stage=refinement.stage,
        progress_percent=refinement.progress_percent,
        failure=failure_to_proto(refinement.failure),
        kept=refinement.kept,
        score_before=refinement.score_before or 0.0,
        score_after=refinement.score_after or 0.0,
        ready_time=timestamp(refinement.ready_at),
    )


def _given(consent: voice_pb2.Consent) -> Given:
    return Given(consent.statement, consent.given_by, caller().address, consent.challenge)


def _wish(depth: voice_pb2.Refinement.Depth.ValueType) -> Wish | None:
    return Wish(voice_pb2.Refinement.Depth.Name(depth)) if depth else None


def _texts(transcripts: Sequence[str]) -> tuple[str, ...]:
    """The transcripts; none where all are empty."""
    texts = tuple(text.strip() for text in transcripts)
    return texts if any(texts) else ()


def _id(name: str) -> str:
    return names.id_of(name, "voices", "VOICE_NOT_FOUND")
