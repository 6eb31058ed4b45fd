"""Speech over real mTLS gRPC, PostgreSQL, storage, worker and engine."""

from __future__ import annotations

import asyncio
import hashlib
import io
import uuid
from collections.abc import AsyncIterator
from typing import Any

import av
import grpc
import numpy as np
import pytest
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2
from voicemesh.voice.v1 import speech_pb2, voice_pb2

from services.mesh import errors, names
from services.mesh.status import reason
from services.voice import forms
from services.voice.engine import japanese, languages, port
from services.voice.engine.port import JAPANESE
from tests.peers import Metadata, signed_in
from tests.voice.conftest import SAMPLE, Platform

State = speech_pb2.Speech.State
Format = speech_pb2.AudioConfig.Format
Tier = speech_pb2.AudioConfig.Tier
TEXT = "The quick brown fox jumps over the lazy dog. Then it sleeps."


@pytest.fixture(scope="module")
def bob() -> Metadata:
    """The user whose voice the tests of this module speak in."""
    return signed_in(names.new_id())


@pytest.fixture(scope="module")
async def voice(platform: Platform, bob: Metadata) -> AsyncIterator[voice_pb2.Voice]:
    async with platform.worker():
        yield await platform.ready(bob)


def decoded(content: bytes) -> tuple[np.ndarray, int]:
    """Samples (n,) and sample rate of an audio file."""
    with av.open(io.BytesIO(content)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
        return np.concatenate([frame.reshape(-1) for frame in frames]), container.streams.audio[0].rate


async def speak(platform: Platform, who: Metadata, **fields: object) -> list[httpbody_pb2.HttpBody]:
    call = platform.speeches.Speak(speech_pb2.SpeakRequest(**fields), metadata=who, timeout=120)
    return [piece async for piece in call]


async def finished(platform: Platform, who: Metadata, name: str) -> speech_pb2.Speech:
    call = platform.speeches.WatchSpeech(speech_pb2.WatchSpeechRequest(name=name), metadata=who, timeout=180)
    return [event async for event in call][-1].speech


async def summary(platform: Platform, who: Metadata) -> voice_pb2.SummarizeUsageResponse:
    from voicemesh.voice.v1 import voice_pb2_grpc

    async with platform.voice.channel("user") as channel:
        stub = voice_pb2_grpc.VoiceServiceStub(channel)
        return await stub.SummarizeUsage(voice_pb2.SummarizeUsageRequest(days=2), metadata=who)


async def test_speak_streams_audio_of_the_text(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    pieces = await speak(platform, bob, name=voice.name, text=TEXT)
    samples, rate = decoded(b"".join(piece.data for piece in pieces))

    assert pieces[0].content_type == "audio/wav"
    assert len(pieces) > 2
    assert rate == 24000
    assert 2 < len(samples) / rate < 10
    assert np.abs(samples.astype(float)).max() > 3000


@pytest.mark.parametrize(
    ("format", "rate", "content_type"),
    [
        (Format.MP3, 24000, "audio/mpeg"),
        (Format.OPUS, 48000, "audio/ogg"),
        (Format.FLAC, 16000, "audio/flac"),
        (Format.WAV, 8000, "audio/wav"),
    ],
)
async def test_speak_in_every_form(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, format: int, rate: int, content_type: str
) -> None:
    config = speech_pb2.AudioConfig(format=format, sample_rate_hertz=rate)

    pieces = await speak(platform, bob, name=voice.name, text="Hello there, my friend.", audio_config=config)
    samples, decoded_rate = decoded(b"".join(piece.data for piece in pieces))

    assert pieces[0].content_type == content_type
    assert decoded_rate == rate
    assert len(samples) / rate > 0.8


async def test_a_recording_is_said_in_the_voice_and_lasts_as_long(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    said, rate = decoded(SAMPLE.read_bytes())
    before = await summary(platform, bob)
    request = speech_pb2.ConvertRequest(
        name=voice.name,
        recording=voice.recordings[0],
        transcript=SAMPLE.with_name("speech.txt").read_text("utf-8"),
        audio_config={"format": Format.FLAC},
    )

    pieces = [piece async for piece in platform.speeches.Convert(request, metadata=bob, timeout=240)]

    samples, made_rate = decoded(b"".join(piece.data for piece in pieces))
    after = await summary(platform, bob)
    assert pieces[0].content_type == "audio/flac"
    assert len(samples) / made_rate == pytest.approx(len(said) / rate, abs=0.01)
    assert np.abs(samples.astype(float)).max() > 3000
    assert after.characters == before.characters
    assert after.audio_seconds - before.audio_seconds == pytest.approx(len(said) / rate, abs=0.01)


@pytest.mark.parametrize(
    ("fields", "code", "why"),
    [
        ({"recording": "speech"}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS"),
        ({"audio_config": {"speed": 1.5}}, grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS"),
        ({"transcript": "Привет"}, grpc.StatusCode.INVALID_ARGUMENT, "TEXT_UNSUPPORTED_SCRIPT"),
        ({"recording": "files/1"}, grpc.StatusCode.NOT_FOUND, "RECORDING_NOT_FOUND"),
        ({"name": "voices/1"}, grpc.StatusCode.NOT_FOUND, "VOICE_NOT_FOUND"),
    ],
)
async def test_what_cannot_be_converted_is_refused(
    platform: Platform,
    bob: Metadata,
    voice: voice_pb2.Voice,
    fields: dict[str, Any],
    code: grpc.StatusCode,
    why: str,
) -> None:
    request = speech_pb2.ConvertRequest(**({"name": voice.name, "recording": voice.recordings[0]} | fields))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await platform.speeches.Convert(request, metadata=bob, timeout=60).read()

    assert (raised.value.code(), reason(raised.value)) == (code, why)


async def test_only_languages_that_are_listed_are_spoken(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    listed = await platform.speeches.ListLanguages(speech_pb2.ListLanguagesRequest(), metadata=bob)
    spoken = [each.language_code for each in listed.languages]
    speech = {"voice": voice.name, "text": TEXT}
    recording = voice.recordings[0]

    assert spoken == ["en-US"] + [JAPANESE] * (not japanese.language().needs)
    for code, why in (("fr-FR", "LANGUAGE_UNSUPPORTED"), ("no language", "INVALID_FIELDS")):
        for call in (
            speak(platform, bob, name=voice.name, text=TEXT, language_code=code),
            platform.speeches.SpeakWithTimestamps(
                speech_pb2.SpeakWithTimestampsRequest(name=voice.name, text=TEXT, language_code=code), metadata=bob
            ).read(),
            platform.speeches.Convert(
                speech_pb2.ConvertRequest(name=voice.name, recording=recording, language_code=code), metadata=bob
            ).read(),
            platform.speeches.CreateSpeech(
                speech_pb2.CreateSpeechRequest(speech=speech, language_code=code), metadata=bob
            ),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call
            assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert reason(raised.value) == why
    with pytest.raises(grpc.aio.AioRpcError, match="spoken are: en-US") as raised:
        convert = speech_pb2.ConvertRequest(name=voice.name, recording=recording, language_code=JAPANESE)
        await platform.speeches.Convert(convert, metadata=bob).read()
    assert reason(raised.value) == "LANGUAGE_UNSUPPORTED"
    assert await speak(platform, bob, name=voice.name, text="Hello.", language_code=spoken[0])


@pytest.mark.skipif(bool(japanese.language().needs), reason=f"needs {japanese.language().needs}")
async def test_japanese_is_spoken_at_once_and_by_a_job(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    text = "今朝は早く起きました。散歩をしました。"
    streamed = platform.speeches.SpeakWithTimestamps(
        speech_pb2.SpeakWithTimestampsRequest(name=voice.name, text=text, language_code="ja"), metadata=bob
    )
    words = [word.text async for response in streamed for word in response.words]
    speech = {"voice": voice.name, "text": text}
    created = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech=speech, language_code="ja-jp"), metadata=bob
    )
    ready = await finished(platform, bob, created.name)
    kept = await platform.speeches.GetSpeechTimestamps(
        speech_pb2.GetSpeechTimestampsRequest(name=f"{ready.name}/timestamps"), metadata=bob
    )

    assert "".join(words) == text.replace("。", "")
    assert created.language_code == ready.language_code == JAPANESE
    assert (ready.state, ready.characters) == (speech_pb2.Speech.READY, len(text))
    assert [word.text for word in kept.words] == words
    assert 2 < ready.duration.ToTimedelta().total_seconds() < 7


@pytest.mark.skipif(bool(japanese.language().needs), reason=f"needs {japanese.language().needs}")
@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"text": "今朝は"}, "TEXT_UNSUPPORTED_SCRIPT"),
        ({"text": "안녕", "language_code": JAPANESE}, "TEXT_UNSUPPORTED_SCRIPT"),
        ({"text": "はい", "language_code": JAPANESE, "audio_config": {"tier": Tier.FAST}}, "TIER_UNSUPPORTED"),
        ({"ssml": "<speak><say-as interpret-as='date'>1</say-as></speak>", "language_code": "ja"}, "SSML_UNSUPPORTED"),
    ],
)
async def test_what_japanese_has_not_is_refused(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, fields: dict[str, Any], why: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await speak(platform, bob, name=voice.name, **fields)

    assert reason(raised.value) == why


async def test_speak_faster_is_shorter(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    pcm = {"format": Format.PCM}
    slow = await speak(platform, bob, name=voice.name, text=TEXT, audio_config={**pcm, "speed": 0.8})
    fast = await speak(platform, bob, name=voice.name, text=TEXT, audio_config={**pcm, "speed": 1.5})

    assert sum(len(piece.data) for piece in fast) < 0.8 * sum(len(piece.data) for piece in slow)


async def test_a_tier_speaks_in_its_own_way_and_natural_is_what_comes_unasked(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    made = [
        b"".join(piece.data for piece in await speak(platform, bob, name=voice.name, text=TEXT, audio_config=config))
        for config in ({}, {"tier": Tier.NATURAL}, {"tier": Tier.FAST}, {"tier": Tier.FAST})
    ]
    unasked, natural, fast, again = (hashlib.sha256(audio).digest() for audio in made)

    assert unasked == natural
    assert fast == again
    assert fast != natural


async def test_a_speech_says_at_which_tier_it_is_spoken(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    created = [
        await platform.speeches.CreateSpeech(
            speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "text": TEXT, "audio_config": {"tier": asked}}),
            metadata=bob,
        )
        for asked in (Tier.TIER_UNSPECIFIED, Tier.FAST)
    ]
    async with platform.worker():
        spoken = [await finished(platform, bob, each.name) for each in created]

    for speeches in (created, spoken):
        assert [each.audio_config.tier for each in speeches] == [Tier.NATURAL, Tier.FAST]
    for speech in spoken:
        assert (speech.state, speech.engine, len(speech.model_hash)) == (State.READY, "kokoro-v1", 64)


def test_what_a_studio_voice_says_at_the_fast_tier_is_of_the_instant_level() -> None:
    assert forms.level_at(port.Tier.NATURAL, "STUDIO") == "STUDIO"
    assert forms.level_at(port.Tier.FAST, "STUDIO") == "INSTANT"


async def test_a_tier_that_nobody_knows_is_refused(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await speak(platform, bob, name=voice.name, text=TEXT, audio_config={"tier": 9})

    assert reason(raised.value) == "INVALID_FIELDS"


def test_a_tier_that_the_engine_lacks_is_refused_and_natural_asks_nobody() -> None:
    with pytest.raises(errors.FailedPrecondition) as raised:
        forms.check_tier(port.Tier.FAST, languages.DEFAULT, lambda: frozenset({port.Tier.NATURAL}))

    assert raised.value.reason == "TIER_UNSUPPORTED"
    with pytest.raises(errors.FailedPrecondition, match="does not speak xx at the tier FAST"):
        forms.check_tier(port.Tier.FAST, port.Language("xx", "", frozenset()), lambda: frozenset(port.Tier))
    forms.check_tier(port.Tier.FAST, languages.DEFAULT, lambda: frozenset(port.Tier))
    forms.check_tier(port.Tier.NATURAL, languages.DEFAULT, lambda: pytest.fail("asked"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "INVALID_FIELDS"),
        ("a" * 5001, "INVALID_FIELDS"),
        ("ring \x07 the bell", "INVALID_FIELDS"),
        ("Привет, мир", "TEXT_UNSUPPORTED_SCRIPT"),
        ("你好", "TEXT_UNSUPPORTED_SCRIPT"),
        ("😀🎉", "TEXT_EMPTY"),
        (" \n\t ", "TEXT_EMPTY"),
        ("...!?", "TEXT_EMPTY"),
    ],
)
async def test_text_that_cannot_be_spoken_is_refused(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, text: str, why: str
) -> None:
    for call in (
        platform.speeches.CreateSpeech(
            speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "text": text if len(text) < 99 else text * 21}),
            metadata=bob,
        ),
        speak(platform, bob, name=voice.name, text=text),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert reason(raised.value) == why


async def test_letters_that_nobody_here_can_say_are_found_out_by_the_engine(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as at_once:
        await speak(platform, bob, name=voice.name, text="ǃ")
    created = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "text": "ǃ"}), metadata=bob
    )
    job = await finished(platform, bob, created.name)

    assert at_once.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(at_once.value) == job.failure.reason == "TEXT_EMPTY"


async def test_emoji_among_words_are_passed_over(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    pcm = {"format": Format.PCM}
    with_emoji = await speak(platform, bob, name=voice.name, text="Well done 🎉, friend!", audio_config=pcm)
    without = await speak(platform, bob, name=voice.name, text="Well done , friend!", audio_config=pcm)

    assert sum(len(piece.data) for piece in with_emoji) == pytest.approx(sum(len(p.data) for p in without), rel=0.1)


async def test_a_rate_that_the_format_lacks_is_refused(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    config = speech_pb2.AudioConfig(format=Format.MP3, sample_rate_hertz=8000)

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await speak(platform, bob, name=voice.name, text=TEXT, audio_config=config)

    assert reason(raised.value) == "SAMPLE_RATE_UNSUPPORTED"


async def test_a_voice_that_is_not_mine_or_not_ready_does_not_speak(
    platform: Platform, bob: Metadata, eve: Metadata, voice: voice_pb2.Voice
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as foreign:
        await speak(platform, eve, name=voice.name, text=TEXT)
    with pytest.raises(grpc.aio.AioRpcError) as foreign_job:
        await platform.speeches.CreateSpeech(
            speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "text": TEXT}), metadata=eve
        )

    pending = await platform.create(eve, await platform.upload(eve, SAMPLE.read_bytes()))
    await platform.voices.CancelVoice(voice_pb2.CancelVoiceRequest(name=pending.name), metadata=eve)
    with pytest.raises(grpc.aio.AioRpcError) as unready:
        await speak(platform, eve, name=pending.name, text=TEXT)
    with pytest.raises(grpc.aio.AioRpcError) as unready_job:
        await platform.speeches.CreateSpeech(
            speech_pb2.CreateSpeechRequest(speech={"voice": pending.name, "text": TEXT}), metadata=eve
        )

    assert reason(foreign.value) == reason(foreign_job.value) == "VOICE_NOT_FOUND"
    assert unready.value.code() == unready_job.value.code() == grpc.StatusCode.FAILED_PRECONDITION
    assert reason(unready.value) == reason(unready_job.value) == "VOICE_NOT_READY"


async def test_a_speech_becomes_a_file_and_usage_adds_up(platform: Platform, voice: voice_pb2.Voice) -> None:
    who = signed_in(names.new_id())
    mine = await platform.ready(who)
    config = {"format": Format.FLAC}
    request = speech_pb2.CreateSpeechRequest(
        speech={"voice": mine.name, "text": TEXT, "audio_config": config}, request_id=str(uuid.uuid4())
    )

    created = await platform.speeches.CreateSpeech(request, metadata=who)
    again = await platform.speeches.CreateSpeech(request, metadata=who)
    speech = await finished(platform, who, created.name)
    file = await platform.files.GetFile(storage_pb2.GetFileRequest(name=speech.audio), metadata=who)
    download = platform.files.DownloadFile(storage_pb2.DownloadFileRequest(name=speech.audio), metadata=who)
    content = b"".join([piece.data async for piece in download])
    recordings = await platform.files.ListFiles(storage_pb2.ListFilesRequest(), metadata=who)
    pieces = await speak(platform, who, name=mine.name, text="One more thing.", audio_config={"format": Format.PCM})
    usage = await summary(platform, who)
    samples, rate = decoded(content)

    assert again.name == created.name
    assert speech.state == State.READY, speech.failure
    assert file.content_type == "audio/flac"
    assert file.purpose == storage_pb2.File.SPEECH
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert speech.audio not in [each.name for each in recordings.files]
    assert speech.duration.ToTimedelta().total_seconds() == pytest.approx(len(samples) / rate, abs=0.01)
    spoken = sum(len(piece.data) for piece in pieces) / 2 / 24000
    assert usage.characters == len(TEXT) + len("One more thing.")
    assert usage.audio_seconds == pytest.approx(len(samples) / rate + spoken, abs=0.02)
    assert dict(usage.voices_by_state) == {"READY": 1}
    assert usage.days[0].voices_created == 1


async def test_a_list_gives_the_beginning_of_a_text_and_get_all_of_it(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    text = "All of it. " * 9000
    created = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "text": text}), metadata=bob
    )
    await platform.speeches.CancelSpeech(speech_pb2.CancelSpeechRequest(name=created.name), metadata=bob)

    listed = await platform.speeches.ListSpeeches(speech_pb2.ListSpeechesRequest(page_size=1), metadata=bob)
    whole = await platform.speeches.GetSpeech(speech_pb2.GetSpeechRequest(name=created.name), metadata=bob)

    assert listed.speeches[0].text == text[:200]
    assert whole.text == text


async def test_deleting_a_speech_deletes_its_audio(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    created = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "text": "Gone soon."}), metadata=bob
    )
    speech = await finished(platform, bob, created.name)

    await platform.speeches.DeleteSpeech(speech_pb2.DeleteSpeechRequest(name=created.name), metadata=bob)

    for call in (
        platform.speeches.GetSpeech(speech_pb2.GetSpeechRequest(name=created.name), metadata=bob),
        platform.files.GetFile(storage_pb2.GetFileRequest(name=speech.audio), metadata=bob),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() == grpc.StatusCode.NOT_FOUND


async def test_cancel_in_the_middle_of_a_long_speech_then_retry_without_the_voice(platform: Platform) -> None:
    who = signed_in(names.new_id())
    mine = await platform.ready(who)
    created = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech={"voice": mine.name, "text": (TEXT + " ") * 30}), metadata=who
    )

    watch = platform.speeches.WatchSpeech(speech_pb2.WatchSpeechRequest(name=created.name), metadata=who, timeout=120)
    async for event in watch:
        if event.speech.progress_percent > 0 and event.speech.state == State.PROCESSING:
            await platform.speeches.CancelSpeech(speech_pb2.CancelSpeechRequest(name=created.name), metadata=who)
        last = event
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=mine.name), metadata=who)

    assert last.speech.state == State.CANCELLED
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await platform.speeches.RetrySpeech(speech_pb2.RetrySpeechRequest(name=created.name), metadata=who)
    assert reason(raised.value) == "VOICE_GONE"
    assert (await summary(platform, who)).characters == 0


async def test_beyond_the_waiting_line_calls_are_refused_with_a_time_to_retry(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    room = platform.settings.engine_processes + platform.settings.engine_waiting
    calls = [
        platform.speeches.Speak(
            speech_pb2.SpeakRequest(name=voice.name, text=(TEXT + " ") * 40), metadata=bob, timeout=120
        )
        for _ in range(room + 1)
    ]

    reads = [asyncio.ensure_future(call.read()) for call in calls]
    done, _ = await asyncio.wait(reads, timeout=60, return_when=asyncio.FIRST_EXCEPTION)
    refusals = [read.exception() for read in done if read.exception()]
    for call in calls:
        call.cancel()
    await asyncio.gather(*reads, return_exceptions=True)

    assert [error.code() for error in refusals] == [grpc.StatusCode.RESOURCE_EXHAUSTED]
    assert reason(refusals[0]) == "ENGINE_BUSY"
    assert int(dict(refusals[0].trailing_metadata())["retry-after"]) >= 1
    assert await speak(platform, bob, name=voice.name, text="Still here.")


async def test_the_sample_itself_is_untouched(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    download = platform.files.DownloadFile(storage_pb2.DownloadFileRequest(name=voice.recordings[0]), metadata=bob)

    assert b"".join([piece.data async for piece in download]) == SAMPLE.read_bytes()
