"""SSML, and when words are heard, over real mTLS gRPC, PostgreSQL, storage, worker and engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest
from voicemesh.voice.v1 import speech_pb2, voice_pb2

from services.mesh import names
from services.mesh.status import reason
from tests.peers import Metadata, signed_in
from tests.voice.conftest import Platform
from tests.voice.test_speeches import decoded, finished, speak

Format = speech_pb2.AudioConfig.Format
TEXT = "Ada paid $3.50 at 10:05 PM. Then 👋 she left."
WORDS = ["Ada", "paid", "$3.50", "at", "10:05 PM", "Then", "she", "left"]
SSML = '<speak>Ada paid.<break time="1s"/> She <sub alias="went away">left</sub>.</speak>'


@pytest.fixture(scope="module")
def bob() -> Metadata:
    """The user whose voice the tests of this module speak in."""
    return signed_in(names.new_id())


@pytest.fixture(scope="module")
async def voice(platform: Platform, bob: Metadata) -> AsyncIterator[voice_pb2.Voice]:
    async with platform.worker():
        yield await platform.ready(bob)


def seconds(word: speech_pb2.Word) -> tuple[float, float]:
    return word.start_offset.ToTimedelta().total_seconds(), word.end_offset.ToTimedelta().total_seconds()


def well_placed(words: list[speech_pb2.Word], text: str, length: float) -> bool:
    """Whether every word is a stretch of the text, and within the audio, one after another."""
    times = [second for word in words for second in seconds(word)]
    return (
        all(word.text == text[word.text_start : word.text_end] for word in words)
        and times == sorted(times)
        and times[-1] <= length
    )


@pytest.mark.parametrize("format", [Format.WAV, Format.OPUS])
async def test_speech_comes_with_the_times_of_its_words_and_characters(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, format: int
) -> None:
    request = speech_pb2.SpeakWithTimestampsRequest(name=voice.name, text=TEXT, audio_config={"format": format})
    call = platform.speeches.SpeakWithTimestamps(request, metadata=bob, timeout=120)

    told = [response async for response in call]

    samples, rate = decoded(b"".join(response.audio for response in told))
    words = [word for response in told for word in response.words]
    characters = [each for response in told for each in response.characters]
    assert [word.text for word in words] == WORDS
    assert well_placed(words, TEXT, len(samples) / rate + 0.01)
    assert "".join(each.text for each in characters) == "".join(WORDS)
    assert well_placed(characters, TEXT, len(samples) / rate + 0.01)
    assert told[0].content_type == ("audio/wav" if format == Format.WAV else "audio/ogg")
    assert (told[0].engine, told[0].level) == ("kokoro-v1", voice_pb2.Voice.INSTANT)
    assert told[0].model_hash
    assert not any(response.engine for response in told[1:])


async def test_the_headers_say_what_speaks(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    call = platform.speeches.Speak(speech_pb2.SpeakRequest(name=voice.name, text="Hi."), metadata=bob, timeout=120)

    headers = dict(await call.initial_metadata())
    await call.read()

    assert headers["x-voicemesh-engine"] == "kokoro-v1"
    assert len(headers["x-voicemesh-model-hash"]) == 64
    assert headers["x-voicemesh-level"] == "INSTANT"


async def test_ssml_is_spoken_with_its_breaks(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    without = SSML.replace('<break time="1s"/>', "")
    pcm = {"format": Format.PCM}

    long = await speak(platform, bob, name=voice.name, ssml=SSML, audio_config=pcm)
    short = await speak(platform, bob, name=voice.name, ssml=without, audio_config=pcm)

    more = (sum(len(piece.data) for piece in long) - sum(len(piece.data) for piece in short)) / 2 / 24000
    assert more == pytest.approx(1 - 0.32, abs=0.3)


async def test_a_speech_of_ssml_has_timestamps(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    created = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "ssml": SSML}), metadata=bob
    )
    speech = await finished(platform, bob, created.name)
    request = speech_pb2.GetSpeechTimestampsRequest(name=f"{created.name}/timestamps")

    found = await platform.speeches.GetSpeechTimestamps(request, metadata=bob)

    assert speech.state == speech_pb2.Speech.READY, speech.failure
    assert (speech.ssml, speech.text, speech.level) == (SSML, "", voice_pb2.Voice.INSTANT)
    assert speech.characters == len("Ada paid. She left.") + 1
    assert found.name == request.name
    assert [word.text for word in found.words] == ["Ada", "paid", "She", "left"]
    assert well_placed(list(found.words), SSML, speech.duration.ToTimedelta().total_seconds())
    assert seconds(found.words[2])[0] - seconds(found.words[1])[1] > 1


async def test_timestamps_of_what_is_not_spoken_are_refused(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice
) -> None:
    created = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "text": "Never said. " * 500}), metadata=bob
    )
    await platform.speeches.CancelSpeech(speech_pb2.CancelSpeechRequest(name=created.name), metadata=bob)

    for name, who, why in (
        (created.name, bob, "SPEECH_NOT_READY"),
        (created.name, signed_in(names.new_id()), "SPEECH_NOT_FOUND"),
        ("speeches/none", bob, "SPEECH_NOT_FOUND"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await platform.speeches.GetSpeechTimestamps(
                speech_pb2.GetSpeechTimestampsRequest(name=f"{name}/timestamps"), metadata=who
            )
        assert reason(raised.value) == why


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ssml": "<speak>a"}, "SSML_MALFORMED"),
        ({"ssml": '<speak>a <audio src="x"/></speak>'}, "SSML_UNSUPPORTED"),
        ({"ssml": "<speak><p>!</p></speak>"}, "TEXT_EMPTY"),
        ({"ssml": "<speak>a</speak>", "text": "a"}, "INVALID_FIELDS"),
        ({}, "INVALID_FIELDS"),
    ],
)
async def test_bad_ssml_and_two_texts_are_refused_everywhere(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, fields: dict[str, str], why: str
) -> None:
    timed = speech_pb2.SpeakWithTimestampsRequest(name=voice.name, **fields)
    job = speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, **fields})

    for call in (
        speak(platform, bob, name=voice.name, **fields),
        platform.speeches.SpeakWithTimestamps(timed, metadata=bob).read(),
        platform.speeches.CreateSpeech(job, metadata=bob),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
        assert reason(raised.value) == why
