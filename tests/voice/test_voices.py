"""Voices over real mTLS gRPC, PostgreSQL, storage, worker and engine."""

from __future__ import annotations

import uuid

import grpc
import psycopg
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from voicemesh.storage.v1 import storage_pb2
from voicemesh.voice.v1 import speech_pb2, voice_pb2, voice_pb2_grpc

from services.mesh import names
from services.mesh.status import reason
from services.voice.app import open_app
from services.voice.engine import artefact
from tests.peers import Metadata, served
from tests.voice.conftest import SAMPLE, Platform, new_voice

State = voice_pb2.Voice.State


async def test_a_voice_is_learned_and_every_step_is_seen(platform: Platform, ada: Metadata) -> None:
    recording = await platform.upload(ada, SAMPLE.read_bytes())
    async with platform.worker():
        created = await platform.create(ada, recording)
        events = await platform.until_final(ada, created.name)
    voice = events[-1].voice
    seen = [event.voice.state for event in events if event.HasField("voice")]
    percents = [event.voice.progress_percent for event in events if event.HasField("voice")]

    assert created.state == State.PENDING
    assert voice.state == State.READY, voice.failure
    assert seen == sorted(seen)
    assert State.PROCESSING in seen
    assert percents == sorted(percents)
    assert voice.level == voice_pb2.Voice.INSTANT
    assert len(voice.model_hash) == 64
    assert voice.report.speech_duration.seconds >= 3
    assert voice.report.expectation == voice_pb2.RecordingReport.GOOD
    assert voice.report.single_speaker_score > 0.8
    assert [part.recording for part in voice.report.parts] == [recording]
    assert voice.report.parts[0].used_duration == voice.report.used_duration
    assert voice.consent.statement == "I agree that my voice is learned."


async def test_a_voice_learned_by_an_earlier_version_has_a_shorter_report(platform: Platform, ada: Metadata) -> None:
    async with platform.worker():
        ready = await platform.ready(ada)
    async with await psycopg.AsyncConnection.connect(platform.settings.database_url.get_secret_value()) as connection:
        newer = ["decay_seconds", "single_speaker", "expected_similarity", "expectation", "parts"]
        await connection.execute(
            "UPDATE voices SET report = report - %s::text[] WHERE id = %s",
            [newer, names.id_of(ready.name, "voices", "")],
        )

    voice = await platform.voices.GetVoice(voice_pb2.GetVoiceRequest(name=ready.name), metadata=ada)

    assert voice.report.signal_to_noise_db == ready.report.signal_to_noise_db
    assert voice.report.expectation == voice_pb2.RecordingReport.EXPECTATION_UNSPECIFIED
    assert not voice.report.HasField("single_speaker_score")


async def test_a_voice_needs_consent(platform: Platform, ada: Metadata) -> None:
    request = new_voice("files/" + names.new_id())
    request.voice.ClearField("consent")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await platform.voices.CreateVoice(request, metadata=ada)

    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "voice.consent" in raised.value.details()


async def test_a_recording_that_is_not_there_or_not_mine_is_not_found(
    platform: Platform, ada: Metadata, eve: Metadata
) -> None:
    hers = await platform.upload(eve, SAMPLE.read_bytes())

    for recording in ("files/" + names.new_id(), "files/nonsense", hers):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await platform.create(ada, recording)
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND
        assert reason(raised.value) == "RECORDING_NOT_FOUND"


async def test_a_request_id_makes_one_voice_and_refuses_other_content(platform: Platform, ada: Metadata) -> None:
    recording = await platform.upload(ada, SAMPLE.read_bytes())
    request = new_voice(recording, request_id=str(uuid.uuid4()))

    first = await platform.voices.CreateVoice(request, metadata=ada)
    again = await platform.voices.CreateVoice(request, metadata=ada)
    request.voice.display_name = "Somebody else"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await platform.voices.CreateVoice(request, metadata=ada)

    assert again.name == first.name
    assert reason(raised.value) == "REQUEST_ID_REUSED"
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=first.name), metadata=ada)


async def test_a_request_id_is_each_owners_own(platform: Platform, ada: Metadata, eve: Metadata) -> None:
    request_id = str(uuid.uuid4())
    mine = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()), request_id=request_id)
    hers = await platform.create(eve, await platform.upload(eve, SAMPLE.read_bytes()), request_id=request_id)

    assert mine.name != hers.name
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=mine.name), metadata=ada)
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=hers.name), metadata=eve)


async def test_cancel_then_retry(platform: Platform, ada: Metadata) -> None:
    created = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))

    cancelled = await platform.voices.CancelVoice(voice_pb2.CancelVoiceRequest(name=created.name), metadata=ada)
    again = await platform.voices.CancelVoice(voice_pb2.CancelVoiceRequest(name=created.name), metadata=ada)
    retried = await platform.voices.RetryVoice(voice_pb2.RetryVoiceRequest(name=created.name), metadata=ada)
    async with platform.worker():
        events = await platform.until_final(ada, created.name)

    assert cancelled.state == again.state == State.CANCELLED
    assert retried.state == State.PENDING
    assert events[-1].voice.state == State.READY
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await platform.voices.CancelVoice(voice_pb2.CancelVoiceRequest(name=created.name), metadata=ada)
    assert reason(raised.value) == "NOT_CANCELLABLE"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await platform.voices.RetryVoice(voice_pb2.RetryVoiceRequest(name=created.name), metadata=ada)
    assert reason(raised.value) == "NOT_RETRIABLE"


async def test_cancel_in_the_middle_of_the_work(platform: Platform, ada: Metadata) -> None:
    created = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))
    async with platform.worker():
        watch = platform.voices.WatchVoice(voice_pb2.WatchVoiceRequest(name=created.name), metadata=ada, timeout=120)
        async for event in watch:
            if event.voice.state == State.PROCESSING:
                await platform.voices.CancelVoice(voice_pb2.CancelVoiceRequest(name=created.name), metadata=ada)
            last = event
        following = await platform.ready(ada)

    assert last.voice.state == State.CANCELLED
    assert following.state == State.READY


async def test_retry_of_a_deleted_recording_says_that_it_is_gone(platform: Platform, ada: Metadata) -> None:
    recording = await platform.upload(ada, SAMPLE.read_bytes())
    created = await platform.create(ada, recording)
    await platform.voices.CancelVoice(voice_pb2.CancelVoiceRequest(name=created.name), metadata=ada)
    await platform.files.DeleteFile(storage_pb2.DeleteFileRequest(name=recording), metadata=ada)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await platform.voices.RetryVoice(voice_pb2.RetryVoiceRequest(name=created.name), metadata=ada)

    assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason(raised.value) == "RECORDING_GONE"


async def test_recordings_that_are_too_large_together_are_refused(platform: Platform, ada: Metadata) -> None:
    settings = platform.settings.model_copy(update={"largest_recordings_bytes": len(SAMPLE.read_bytes()) * 2 - 1})
    recordings = [await platform.upload(ada, SAMPLE.read_bytes()) for _ in range(2)]
    certificates = platform.voice.certificates
    settings = settings.model_copy(update={"tls": certificates["voice"]})
    async with served("voice", open_app, settings, certificates) as small, small.channel() as channel:
        stub = voice_pb2_grpc.VoiceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.CreateVoice(new_voice(*recordings), metadata=ada)

    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(raised.value) == "RECORDINGS_TOO_LARGE"


async def test_a_voice_learned_by_other_models_does_not_speak_and_may_be_learned_again(
    platform: Platform, ada: Metadata
) -> None:
    async with platform.worker():
        voice = await platform.ready(ada)
        await outdate(platform, voice)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            call = platform.speeches.Speak(speech_pb2.SpeakRequest(name=voice.name, text="Hello."), metadata=ada)
            _ = [piece async for piece in call]
        again = await platform.voices.RetryVoice(voice_pb2.RetryVoiceRequest(name=voice.name), metadata=ada)
        last = (await platform.until_final(ada, voice.name))[-1].voice

    assert raised.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason(raised.value) == "VOICE_OUTDATED"
    assert again.state == State.PENDING
    assert (last.state, last.model_hash) == (State.READY, voice.model_hash)


async def outdate(platform: Platform, voice: voice_pb2.Voice) -> None:
    """Makes a voice one that other models have learned."""
    url = platform.settings.database_url.get_secret_value()
    id = voice.name.removeprefix("voices/")
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT content FROM artefacts WHERE voice = %s", [id])
        (content,) = await cursor.fetchone()
        learned = artefact.load(content, engine=voice.engine, model_hash=voice.model_hash)
        other = artefact.dump(learned, engine=voice.engine, model_hash="0" * 64)
        await connection.execute(
            "UPDATE artefacts SET model_hash = %s, content = %s WHERE voice = %s", ["0" * 64, other, id]
        )


async def test_lists_come_in_pages_newest_first_and_tokens_are_personal(
    platform: Platform, ada: Metadata, eve: Metadata
) -> None:
    recording = await platform.upload(ada, SAMPLE.read_bytes())
    made = [(await platform.create(ada, recording)).name for _ in range(5)]

    seen, token = [], ""
    while True:
        page = await platform.voices.ListVoices(
            voice_pb2.ListVoicesRequest(page_size=2, page_token=token), metadata=ada
        )
        seen += [voice.name for voice in page.voices]
        if len(seen) == 2:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await platform.voices.ListVoices(
                    voice_pb2.ListVoicesRequest(page_token=page.next_page_token), metadata=eve
                )
        token = page.next_page_token
        if not token:
            break

    assert seen == made[::-1]
    assert reason(raised.value) == "BAD_PAGE_TOKEN"
    assert not (await platform.voices.ListVoices(voice_pb2.ListVoicesRequest(), metadata=eve)).voices
    for name in made:
        await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=name), metadata=ada)


async def test_update_by_mask_and_etag(platform: Platform, ada: Metadata) -> None:
    created = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))
    change = voice_pb2.Voice(name=created.name, display_name="Countess", description="hers", etag=created.etag)

    changed = await platform.voices.UpdateVoice(
        voice_pb2.UpdateVoiceRequest(voice=change, update_mask=FieldMask(paths=["description"])), metadata=ada
    )
    with pytest.raises(grpc.aio.AioRpcError) as stale:
        await platform.voices.UpdateVoice(voice_pb2.UpdateVoiceRequest(voice=change), metadata=ada)
    with pytest.raises(grpc.aio.AioRpcError) as fixed:
        await platform.voices.UpdateVoice(
            voice_pb2.UpdateVoiceRequest(voice=change, update_mask=FieldMask(paths=["consent"])), metadata=ada
        )

    assert (changed.display_name, changed.description) == ("Ada", "hers")
    assert reason(stale.value) == "ETAG_MISMATCH"
    assert stale.value.code() == grpc.StatusCode.ABORTED
    assert reason(fixed.value) == "BAD_UPDATE_MASK"
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=created.name), metadata=ada)


@pytest.mark.parametrize("method", ["GetVoice", "DeleteVoice", "CancelVoice", "RetryVoice", "WatchVoice"])
async def test_another_users_voice_is_not_found(platform: Platform, ada: Metadata, eve: Metadata, method: str) -> None:
    created = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))

    for name in (created.name, "voices/" + names.new_id(), "voices/nonsense"):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            call = getattr(platform.voices, method)(getattr(voice_pb2, f"{method}Request")(name=name), metadata=eve)
            if method == "WatchVoice":
                _ = [event async for event in call]
            else:
                await call
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND
        assert reason(raised.value) == "VOICE_NOT_FOUND"
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=created.name), metadata=ada)


async def test_a_watch_ends_with_a_reason_when_its_voice_is_deleted(platform: Platform, ada: Metadata) -> None:
    created = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))

    watch = platform.voices.WatchVoice(voice_pb2.WatchVoiceRequest(name=created.name), metadata=ada, timeout=60)
    events = []
    async for event in watch:
        if not events:
            await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=created.name), metadata=ada)
        events.append(event)

    assert events[0].voice.state == State.PENDING
    assert reason(events[-1].error) == "VOICE_NOT_FOUND"


async def test_a_quiet_watch_shows_that_it_is_alive(platform: Platform, ada: Metadata) -> None:
    created = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))

    watch = platform.voices.WatchVoice(voice_pb2.WatchVoiceRequest(name=created.name), metadata=ada, timeout=60)
    async for event in watch:
        if event.keep_alive:
            break
    watch.cancel()

    assert event.WhichOneof("event") == "keep_alive"
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=created.name), metadata=ada)
