"""Strict consent: a phrase that was drawn at random has to be spoken in a recording before a voice is learned."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import psycopg
import pytest
from pydantic import ValidationError
from voicemesh.voice.v1 import consent_pb2, voice_pb2

from services.mesh import names
from services.mesh.status import reason
from services.voice import consent_checks, engine_process, hearing, phrases
from services.voice.consent_checks import CheckUnusable
from services.voice.engine import assets, encoders
from services.voice.engine.kokoro import Kokoro
from services.voice.engine.phonemes import Phonemes
from services.voice.engine.studio import transcription
from services.voice.settings import Settings
from services.voice.spoken_phrase import SpokenPhrase
from tests.peers import Metadata
from tests.voice import fake_engine
from tests.voice.conftest import SAMPLE, Platform, new_voice, opened

State = voice_pb2.Voice.State


class Listening:
    """A check of consent that hears what a recording says in plain bytes: the phrase at its end."""

    def missing(self) -> str:
        return ""

    def heard(self, recordings: list[bytes], phrase: str) -> bool:
        if phrase == "fail":
            raise ValueError("a defect of the check")
        if phrase == "die":
            sys.exit(3)
        return any(recording.endswith(phrase.encode()) for recording in recordings)


class Deaf:
    """A check of consent that lacks something."""

    def missing(self) -> str:
        return "its ears are not installed"

    def heard(self, recordings: list[bytes], phrase: str) -> bool:
        raise AssertionError("nobody asks it")


def brought(folder: Path) -> None:
    """Puts a package into a folder that brings the two, as far as importlib can tell."""
    place = folder / "ears-1.0.dist-info"
    place.mkdir(exist_ok=True)
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: ears\nVersion: 1.0\n")
    checks = f"ears = {__name__}:Listening\ndeaf = {__name__}:Deaf\n"
    (place / "entry_points.txt").write_text(f"[{consent_checks.GROUP}]\n{checks}")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory):
    """The two checks, installed; also for processes that are started."""
    folder = tmp_path_factory.mktemp("ears")
    brought(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(folder), *sys.path])
        patch.setattr(engine_process, "main", fake_engine.main)
        yield


@pytest.fixture(scope="module")
async def strict(
    installed: None,
    new_database: Callable[[], str],
    certificates: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Platform]:
    async with opened(
        new_database, certificates, tmp_path_factory.mktemp("objects"), consent_check="ears", refinement="NONE"
    ) as found:
        yield found


async def challenge(platform: Platform, who: Metadata) -> consent_pb2.ConsentChallenge:
    request = consent_pb2.CreateConsentChallengeRequest()
    return await platform.consents.CreateConsentChallenge(request, metadata=who)


async def create(platform: Platform, who: Metadata, recording: bytes, challenge: str, **more: str) -> voice_pb2.Voice:
    request = new_voice(await platform.upload(who, recording), **more)
    request.voice.consent.challenge = challenge
    return await platform.voices.CreateVoice(request, metadata=who)


async def refused(call) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), reason(raised.value)


def saying(phrase: str) -> bytes:
    """A recording that a `Listening` hears the phrase in: what follows the audio, decoders pass over."""
    return SAMPLE.read_bytes() + phrase.encode()


async def test_a_voice_whose_person_says_the_phrase_is_learned(strict: Platform, ada: Metadata) -> None:
    asked = await challenge(strict, ada)
    async with strict.worker():
        created = await create(strict, ada, saying(asked.phrase), asked.challenge)
        voice = (await strict.until_final(ada, created.name))[-1].voice

    assert len(asked.phrase.split()) == phrases.COUNT
    assert created.consent.phrase == asked.phrase
    assert not created.consent.HasField("hear_time")
    assert not created.consent.challenge
    assert voice.state == State.READY, voice.failure
    assert voice.consent.HasField("hear_time")


async def test_a_voice_whose_person_says_something_else_is_not(strict: Platform, ada: Metadata) -> None:
    asked = await challenge(strict, ada)
    async with strict.worker():
        created = await create(strict, ada, saying("something else"), asked.challenge)
        voice = (await strict.until_final(ada, created.name))[-1].voice
        retry = voice_pb2.RetryVoiceRequest(name=created.name)
        await strict.voices.RetryVoice(retry, metadata=ada)
        again = (await strict.until_final(ada, created.name))[-1].voice

    assert [(each.state, each.failure.reason) for each in (voice, again)] == [(State.FAILED, "CONSENT_NOT_SPOKEN")] * 2
    assert not again.consent.HasField("hear_time")
    assert again.level == voice_pb2.Voice.LEVEL_UNSPECIFIED


async def test_without_a_challenge_nothing_is_created(strict: Platform, ada: Metadata) -> None:
    answer = await refused(create(strict, ada, SAMPLE.read_bytes(), ""))

    assert answer == (grpc.StatusCode.FAILED_PRECONDITION, "CONSENT_CHALLENGE_MISSING")


INVALID = (grpc.StatusCode.FAILED_PRECONDITION, "CONSENT_CHALLENGE_INVALID")


async def test_a_challenge_is_good_for_one_voice_of_its_own_user(
    strict: Platform, ada: Metadata, eve: Metadata
) -> None:
    asked = await challenge(strict, ada)
    recording = saying(asked.phrase)
    somebody_elses = await refused(create(strict, eve, recording, asked.challenge))
    first = await create(strict, ada, recording, asked.challenge)
    second = await refused(create(strict, ada, recording, asked.challenge))
    made_up = await refused(create(strict, ada, recording, names.new_id()))
    voices = await strict.voices.ListVoices(voice_pb2.ListVoicesRequest(), metadata=ada)

    assert [somebody_elses, second, made_up] == [INVALID] * 3
    assert [voice.name for voice in voices.voices] == [first.name]


async def test_of_many_voices_at_once_one_gets_the_challenge(strict: Platform, ada: Metadata) -> None:
    asked = await challenge(strict, ada)
    request = new_voice(await strict.upload(ada, saying(asked.phrase)))
    request.voice.consent.challenge = asked.challenge

    calls = [strict.voices.CreateVoice(request, metadata=ada) for _ in range(8)]
    answers = await asyncio.gather(*calls, return_exceptions=True)

    assert sum(isinstance(answer, voice_pb2.Voice) for answer in answers) == 1
    assert {reason(each) for each in answers if isinstance(each, grpc.RpcError)} == {"CONSENT_CHALLENGE_INVALID"}


async def test_a_request_that_is_repeated_gives_the_first_voice(strict: Platform, ada: Metadata) -> None:
    asked = await challenge(strict, ada)
    request = new_voice(await strict.upload(ada, saying(asked.phrase)), request_id=names.new_id())
    request.voice.consent.challenge = asked.challenge

    voices = [await strict.voices.CreateVoice(request, metadata=ada) for _ in range(2)]

    assert voices[0].name == voices[1].name


async def test_a_challenge_expires(strict: Platform, ada: Metadata) -> None:
    asked = await challenge(strict, ada)
    async with await psycopg.AsyncConnection.connect(strict.settings.database_url.get_secret_value()) as connection:
        await connection.execute(
            "UPDATE consent_challenges SET expires_at = now() - interval '1 second' WHERE id = %s", [asked.challenge]
        )

    assert await refused(create(strict, ada, saying(asked.phrase), asked.challenge)) == INVALID


async def test_without_ears_everything_is_refused(
    installed: None, new_database: Callable[[], str], certificates: dict[str, Path], tmp_path: Path, ada: Metadata
) -> None:
    async with opened(new_database, certificates, tmp_path, consent_check="deaf", refinement="NONE") as deaf:
        answers = [
            await refused(challenge(deaf, ada)),
            await refused(create(deaf, ada, SAMPLE.read_bytes(), names.new_id())),
        ]

    assert answers == [(grpc.StatusCode.FAILED_PRECONDITION, "CONSENT_CHECK_UNAVAILABLE")] * 2


async def test_a_worker_without_ears_learns_nothing(strict: Platform, ada: Metadata) -> None:
    asked = await challenge(strict, ada)
    created = await create(strict, ada, saying(asked.phrase), asked.challenge)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", sys.path[1:])
        async with strict.worker():
            voice = (await strict.until_final(ada, created.name))[-1].voice

    assert (voice.state, voice.failure.reason) == (State.FAILED, "CONSENT_CHECK_UNAVAILABLE")


async def test_where_no_phrase_is_asked_for_none_is_given_out(platform: Platform, ada: Metadata) -> None:
    answer = await refused(challenge(platform, ada))

    assert answer == (grpc.StatusCode.FAILED_PRECONDITION, "CONSENT_CHECK_OFF")


async def test_a_check_that_dies_or_fails_is_no_yes(installed: None) -> None:
    with pytest.raises(RuntimeError, match="a defect of the check"):
        await hearing.hear("ears", [b""], "fail")
    with pytest.raises(hearing.CheckDied):
        await hearing.hear("ears", [b""], "die")
    with pytest.raises(CheckUnusable, match="ears are not installed"):
        await hearing.hear("deaf", [b""], "anything")
    with pytest.raises(CheckUnusable, match="nobody"):
        await hearing.hear("nobody", [b""], "anything")


def test_a_check_that_is_not_installed_is_a_wrong_setting(strict: Platform) -> None:
    with pytest.raises(ValidationError, match="0 installed packages"):
        Settings(**{**strict.settings.model_dump(), "consent_check": "nobody"})


PHRASE = "river candle dolphin lemon window tiger"


@pytest.mark.parametrize(
    ("text", "enough"),
    [
        ("River, candle, dolphin, lemon, window, tiger.", True),
        ("My name is Ada. river candle dolphin lemon window tiger and that is all", True),
        ("river candle dolphin lemon window tire", True),  # One was misheard.
        ("river kendal dolphin melon window tiger", False),
        ("tiger window lemon dolphin candle river", False),
        ("river candle dolphin lemon", False),
        ("river " * 40, False),
        (" and so on and so on and so on and ".join(PHRASE.split()), False),
        ("", False),
    ],
)
def test_what_counts_as_spoken(text: str, enough: bool) -> None:
    assert phrases.spoken(PHRASE, text) is enough


def test_phrases_are_all_different() -> None:
    made = [phrases.make() for _ in range(200)]

    assert len(set(made)) == 200
    assert all(len(set(phrase.split())) == phrases.COUNT for phrase in made)
    assert len(set(phrases.WORDS)) == len(phrases.WORDS) > 128


def test_without_speech_recognition_the_default_check_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcription, "find_spec", lambda name: None)

    assert "speech recognition is not installed" in consent_checks.missing(consent_checks.DEFAULT)


@pytest.mark.skipif(not transcription.recognises(), reason="speech recognition is not installed")
def test_the_default_check_hears_a_phrase_and_nothing_else() -> None:
    found = assets.prepare()
    model, sounds = Kokoro(found, threads=2), Phonemes(found.vocabulary())
    phrase = phrases.make()
    said = ", ".join(phrase.split())
    samples = model.sound(model.score(sounds.tokens(f"My voice is mine. {said}."), found.styles()["am_michael"]))
    into = encoders.encoder("flac", source_rate=24000, sample_rate=24000)
    recording = into.feed(samples) + into.finish()
    check = SpokenPhrase()

    assert check.missing() == ""
    assert check.heard([b"no recording", recording], phrase)
    assert not check.heard([recording], PHRASE)
    assert not check.heard([SAMPLE.read_bytes()], phrase)
