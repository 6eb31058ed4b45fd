"""What the voice service writes into the audit log."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import grpc
import pytest
from voicemesh.voice.v1 import speech_pb2, voice_pb2, voice_pb2_grpc

from tests.audited import AT_HOME, audited, kinds
from tests.peers import Metadata
from tests.voice.conftest import SAMPLE, Platform

TEXT = "Nobody but me may read this."


@pytest.fixture
async def as_user(platform: Platform) -> AsyncIterator[voice_pb2_grpc.VoiceServiceAsyncStub]:
    """As the user service calls it."""
    async with platform.voice.channel("user") as channel:
        yield voice_pb2_grpc.VoiceServiceStub(channel)


async def test_what_a_voice_is_asked_to_do_is_written_down(platform: Platform, ada: Metadata, as_user) -> None:
    async with platform.worker():
        voice = await platform.ready((*ada, *AT_HOME))
        call = platform.speeches.Speak(speech_pb2.SpeakRequest(name=voice.name, text=f"{TEXT} {TEXT}"), metadata=ada)
        assert [body async for body in call]
    request = speech_pb2.CreateSpeechRequest(speech=speech_pb2.Speech(voice=voice.name, text=TEXT))
    speech = await platform.speeches.CreateSpeech(request, metadata=ada)
    await platform.speeches.DeleteSpeech(speech_pb2.DeleteSpeechRequest(name=speech.name), metadata=ada)
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=voice.name), metadata=ada)

    events = await audited(as_user, ada)

    assert kinds(events) == [
        "CONSENT_GIVEN",
        "VOICE_CREATED",
        "VOICE_SPOKE",
        "SPEECH_CREATED",
        "SPEECH_DELETED",
        "VOICE_DELETED",
    ]
    consent, created, spoke, asked, deleted, gone = events
    assert (consent.resource, consent.address) == (f"{voice.name}/consent", "203.0.113.7")
    assert dict(consent.details) == {
        "statement_sha256": hashlib.sha256(voice.consent.statement.encode()).hexdigest(),
        "recordings_sha256": hashlib.sha256(SAMPLE.read_bytes()).hexdigest(),
    }
    assert dict(created.details) == {"recordings": voice.recordings[0]}
    assert created.resource == spoke.resource == gone.resource == voice.name
    assert dict(spoke.details) == {"characters": str(2 * len(TEXT) + 1)}
    assert asked.resource == deleted.resource == speech.name
    assert dict(asked.details) == {"voice": voice.name, "characters": str(len(TEXT))}
    assert TEXT not in str(events)
    assert voice.consent.statement not in str(events)


async def test_what_is_refused_or_repeated_is_not_written_down(platform: Platform, ada: Metadata, as_user) -> None:
    recording = await platform.upload(ada, SAMPLE.read_bytes())
    id = "01990000-0000-7000-8000-000000000001"
    first = await platform.create(ada, recording, request_id=id)
    assert (await platform.create(ada, recording, request_id=id)).name == first.name
    with pytest.raises(grpc.aio.AioRpcError):
        await platform.create(ada, "files/01990000-0000-7000-8000-000000000002")
    delete = voice_pb2.DeleteVoiceRequest(name=first.name)
    await platform.voices.DeleteVoice(delete, metadata=ada)
    with pytest.raises(grpc.aio.AioRpcError):
        await platform.voices.DeleteVoice(delete, metadata=ada)

    assert kinds(await audited(as_user, ada)) == ["CONSENT_GIVEN", "VOICE_CREATED", "VOICE_DELETED"]
