"""Consents: kept whole and unchanged; and what ends when one is taken back, or its voice is deleted."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import grpc
import psycopg
import pytest
from voicemesh.storage.v1 import storage_pb2
from voicemesh.voice.v1 import consent_pb2, consent_pb2_grpc, speech_pb2, voice_pb2, voice_pb2_grpc

from services.mesh import names
from services.mesh.status import reason
from services.voice import engine_process, speeches
from services.voice.speeches import Artefact, LearnedVoices
from tests.audited import AT_HOME, audited, kinds
from tests.peers import Metadata
from tests.voice import fake_engine
from tests.voice.conftest import SAMPLE, Platform, new_voice, opened

State = voice_pb2.Voice.State
BOUND_SECONDS = 5.0
"""Within how long a voice has to fall silent."""

End = Callable[[Platform, Metadata, str], Awaitable[object]]


@pytest.fixture
def consents(platform: Platform) -> consent_pb2_grpc.ConsentServiceAsyncStub:
    """As Envoy calls it."""
    return platform.consents


async def revoke(platform: Platform, who: Metadata, voice: str) -> voice_pb2.Consent:
    request = consent_pb2.RevokeConsentRequest(name=f"{voice}/consent")
    return await platform.consents.RevokeConsent(request, metadata=who)


async def delete(platform: Platform, who: Metadata, voice: str) -> None:
    await platform.voices.DeleteVoice(voice_pb2.DeleteVoiceRequest(name=voice), metadata=who)


ENDS = {"revoked": (revoke, "CONSENT_REVOKED"), "deleted": (delete, "VOICE_NOT_FOUND")}
"""The two ways to silence a voice, and what new calls are told then."""


async def refused(call: Awaitable[object]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return raised.value.code(), reason(raised.value)


async def spoken(platform: Platform, who: Metadata, voice: str, text: str = "No.") -> int:
    call = platform.speeches.Speak(speech_pb2.SpeakRequest(name=voice, text=text), metadata=who)
    return sum([len(body.data) async for body in call])


async def asked(platform: Platform, who: Metadata, voice: str, text: str = "No.") -> speech_pb2.Speech:
    request = speech_pb2.CreateSpeechRequest(speech={"voice": voice, "text": text})
    return await platform.speeches.CreateSpeech(request, metadata=who)


async def test_a_consent_is_kept_whole(platform: Platform, ada: Metadata, consents) -> None:
    recording = await platform.upload(ada, SAMPLE.read_bytes())
    voice = await platform.create((*ada, *AT_HOME), recording)

    consent = await consents.GetConsent(consent_pb2.GetConsentRequest(name=f"{voice.name}/consent"), metadata=ada)

    assert consent == voice.consent
    assert consent.name == f"{voice.name}/consent"
    assert consent.user == f"users/{ada[0][1]}"
    assert (consent.statement, consent.given_by) == ("I agree that my voice is learned.", "Ada")
    assert consent.address == "203.0.113.7"
    assert abs(consent.give_time.seconds - time.time()) < 60
    digest = hashlib.sha256(SAMPLE.read_bytes()).hexdigest()
    assert [(each.name, each.sha256) for each in consent.recordings] == [(recording, digest)]
    assert not consent.HasField("revoke_time")


async def test_consents_are_listed_those_to_deleted_voices_too(platform: Platform, ada: Metadata, consents) -> None:
    recording = await platform.upload(ada, SAMPLE.read_bytes())
    made = [(await platform.create(ada, recording)).name for _ in range(3)]
    await delete(platform, ada, made[1])
    await platform.files.DeleteFile(storage_pb2.DeleteFileRequest(name=recording), metadata=ada)

    page = await consents.ListConsents(consent_pb2.ListConsentsRequest(page_size=2), metadata=ada)
    request = consent_pb2.ListConsentsRequest(page_size=2, page_token=page.next_page_token)
    rest = await consents.ListConsents(request, metadata=ada)

    found = [consent.name for consent in [*page.consents, *rest.consents]]
    assert found == [f"{name}/consent" for name in reversed(made)]
    assert rest.next_page_token == ""
    assert page.consents[1].recordings[0].name == recording


@pytest.mark.parametrize("name", ["{voice}/consent", "voices/0197f0f0-0000-7000-8000-000000000000/consent"])
async def test_somebody_elses_consent_is_not_there(
    platform: Platform, ada: Metadata, eve: Metadata, consents, name: str
) -> None:
    voice = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))
    name = name.format(voice=voice.name)

    read = await refused(consents.GetConsent(consent_pb2.GetConsentRequest(name=name), metadata=eve))
    revoked = await refused(consents.RevokeConsent(consent_pb2.RevokeConsentRequest(name=name), metadata=eve))

    assert read == revoked == (grpc.StatusCode.NOT_FOUND, "CONSENT_NOT_FOUND")
    assert not (await consents.ListConsents(consent_pb2.ListConsentsRequest(), metadata=eve)).consents
    assert (await platform.voices.GetVoice(voice_pb2.GetVoiceRequest(name=voice.name), metadata=ada)).state != 4


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE consents SET statement = 'anything' WHERE voice = %s",
        "DELETE FROM consents WHERE voice = %s",
        "UPDATE consent_revocations SET revoked_at = now() + interval '1 year' WHERE voice = %s",
        "DELETE FROM consent_revocations WHERE voice = %s",
    ],
)
async def test_the_database_refuses_to_change_a_consent(platform: Platform, ada: Metadata, statement: str) -> None:
    voice = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))
    await revoke(platform, ada, voice.name)

    async with await psycopg.AsyncConnection.connect(platform.settings.database_url.get_secret_value()) as connection:
        with pytest.raises(psycopg.errors.RaiseException, match="stays as it was given"):
            await connection.execute(statement, [names.id_of(voice.name, "voices", "")])


async def test_only_the_deletion_of_the_account_takes_consents_away(platform: Platform, ada: Metadata) -> None:
    voice = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))
    await revoke(platform, ada, voice.name)
    owner = ada[0][1]

    async with await psycopg.AsyncConnection.connect(platform.settings.database_url.get_secret_value()) as connection:
        await connection.execute("SELECT set_config('voicemesh.erasing', %s, true)", [owner])
        gone = await connection.execute("DELETE FROM consents WHERE owner = %s", [owner])
        left = await connection.execute("SELECT FROM consent_revocations WHERE owner = %s", [owner])

    assert (gone.rowcount, left.rowcount) == (1, 0)


async def test_revoking_is_for_good_and_written_down_once(platform: Platform, ada: Metadata) -> None:
    voice = await platform.create(ada, await platform.upload(ada, SAMPLE.read_bytes()))
    first = await revoke(platform, ada, voice.name)
    again = await revoke(platform, ada, voice.name)
    async with platform.voice.channel("user") as channel:
        events = await audited(voice_pb2_grpc.VoiceServiceStub(channel), ada)
    read = await platform.voices.GetVoice(voice_pb2.GetVoiceRequest(name=voice.name), metadata=ada)

    assert first.HasField("revoke_time")
    assert first == again == read.consent
    assert (read.state, read.failure.reason) == (State.FAILED, "CONSENT_REVOKED")
    assert kinds(events) == ["CONSENT_GIVEN", "VOICE_CREATED", "CONSENT_REVOKED"]
    assert events[-1].resource == f"{voice.name}/consent"


async def test_a_revoked_voice_is_learned_refined_and_spoken_no_more(fake: Platform, ada: Metadata) -> None:
    async with fake.worker():
        voice = await fake.ready(ada)
    await revoke(fake, ada, voice.name)
    read = await fake.voices.GetVoice(voice_pb2.GetVoiceRequest(name=voice.name), metadata=ada)
    calls = [
        fake.voices.RetryVoice(voice_pb2.RetryVoiceRequest(name=voice.name), metadata=ada),
        fake.voices.RefineVoice(voice_pb2.RefineVoiceRequest(name=voice.name), metadata=ada),
        spoken(fake, ada, voice.name),
        asked(fake, ada, voice.name),
    ]

    answers = [await refused(call) for call in calls]

    assert answers == [(grpc.StatusCode.FAILED_PRECONDITION, "CONSENT_REVOKED")] * 4
    assert read.level == voice_pb2.Voice.LEVEL_UNSPECIFIED
    async with await psycopg.AsyncConnection.connect(fake.settings.database_url.get_secret_value()) as connection:
        id = names.id_of(voice.name, "voices", "")
        assert (await connection.execute("SELECT FROM artefacts WHERE voice = %s", [id])).rowcount == 0


@pytest.fixture(scope="module")
async def fake(
    new_database: Callable[[], str], certificates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    """A platform whose engine takes texts for orders: `forever` is spoken until it is stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_process, "main", fake_engine.main)
        async with opened(new_database, certificates, tmp_path_factory.mktemp("objects")) as found:
            yield found


async def finished(platform: Platform, who: Metadata, name: str) -> speech_pb2.Speech:
    request = speech_pb2.WatchSpeechRequest(name=name)
    return [event async for event in platform.speeches.WatchSpeech(request, metadata=who, timeout=60)][-1].speech


@pytest.mark.parametrize("end", ENDS)
async def test_a_speech_without_end_ends_with_the_consent_and_so_does_the_work(
    fake: Platform, ada: Metadata, end: str
) -> None:
    silence, told = ENDS[end]
    began = 0.0
    async with fake.worker():
        voice, other = await fake.ready(ada), await fake.ready(ada)
        speech = await asked(fake, ada, voice.name, "forever")
        waiting = await asked(fake, ada, voice.name, "count 3")
        request = speech_pb2.WatchSpeechRequest(name=speech.name)
        async for event in fake.speeches.WatchSpeech(request, metadata=ada, timeout=60):
            if not began and event.speech.progress_percent > 0:
                began = time.monotonic()
                await silence(fake, ada, voice.name)
            last = event.speech
        took = time.monotonic() - began
        # There is one engine: had the work gone on, this would wait for ever.
        after = await finished(fake, ada, (await asked(fake, ada, other.name, "count 3")).name)
        free = time.monotonic() - began
    late = await fake.speeches.GetSpeech(speech_pb2.GetSpeechRequest(name=waiting.name), metadata=ada)
    retried = fake.speeches.RetrySpeech(speech_pb2.RetrySpeechRequest(name=speech.name), metadata=ada)

    gone = "VOICE_GONE" if end == "deleted" else "CONSENT_REVOKED"
    assert max(took, free) < BOUND_SECONDS
    assert after.state == speech_pb2.Speech.READY, after.failure
    assert (last.state, last.failure.reason) == (speech_pb2.Speech.FAILED, gone)
    assert (late.state, late.failure.reason) == (speech_pb2.Speech.FAILED, gone)
    assert not last.audio
    assert (await refused(asked(fake, ada, voice.name)))[1] == told
    assert (await refused(retried))[1] == gone


SILENCED = {
    "revoked": (grpc.StatusCode.FAILED_PRECONDITION, "CONSENT_REVOKED"),
    "deleted": (grpc.StatusCode.NOT_FOUND, "VOICE_NOT_FOUND"),
}


async def ready(fake: Platform, who: Metadata) -> voice_pb2.Voice:
    async with fake.worker():
        return await fake.ready(who)


@pytest.mark.parametrize("end", ENDS)
async def test_what_is_spoken_at_once_without_end_ends_with_the_consent(
    fake: Platform, ada: Metadata, end: str
) -> None:
    silence, _ = ENDS[end]
    voice, other = await ready(fake, ada), await ready(fake, ada)
    call = fake.speeches.Speak(speech_pb2.SpeakRequest(name=voice.name, text="forever"), metadata=ada)
    count, began = 0, 0.0
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for _ in call:
            count += 1
            if count == 3:
                began = time.monotonic()
                await silence(fake, ada, voice.name)
    took = time.monotonic() - began
    # There is one engine: had the work gone on, this would be refused.
    heard = await spoken(fake, ada, other.name, "count 3")

    assert took < BOUND_SECONDS
    assert (raised.value.code(), reason(raised.value)) == SILENCED[end]
    assert heard > 0


@pytest.mark.parametrize("end", ENDS)
async def test_the_work_ends_also_where_nobody_listens(fake: Platform, ada: Metadata, end: str) -> None:
    silence, _ = ENDS[end]
    voice, other = await ready(fake, ada), await ready(fake, ada)
    request = speech_pb2.SpeakRequest(name=voice.name, text="forever", audio_config={"format": "PCM"})
    call = fake.speeches.Speak(request, metadata=ada)
    await call.read()
    began = time.monotonic()
    await silence(fake, ada, voice.name)
    await spoken(fake, ada, other.name, "count 3")
    took = time.monotonic() - began
    call.cancel()

    assert took < BOUND_SECONDS


async def test_a_voice_that_was_silenced_as_it_began_to_speak_says_nothing_more(
    fake: Platform, ada: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the reading of what it speaks with and the first word."""
    voice = await ready(fake, ada)
    read = speeches.artefact

    async def late(owner: str, id: str, *, voices: LearnedVoices) -> Artefact:
        found = await read(owner, id, voices=voices)
        await revoke(fake, ada, voice.name)
        return found

    monkeypatch.setattr(speeches, "artefact", late)
    began = time.monotonic()
    answer = await refused(spoken(fake, ada, voice.name, "forever"))

    assert time.monotonic() - began < BOUND_SECONDS
    assert answer == SILENCED["revoked"]


async def test_it_ends_also_where_no_notification_comes(fake: Platform, ada: Metadata) -> None:
    voice = await ready(fake, ada)
    url = fake.settings.database_url.get_secret_value()
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("ALTER TABLE voices DISABLE TRIGGER voices_changed")
        try:
            call = fake.speeches.Speak(speech_pb2.SpeakRequest(name=voice.name, text="forever"), metadata=ada)
            began = 0.0
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                async for _ in call:
                    if not began:
                        began = time.monotonic()
                        await revoke(fake, ada, voice.name)
            took = time.monotonic() - began
        finally:
            await connection.execute("ALTER TABLE voices ENABLE TRIGGER voices_changed")

    assert took < BOUND_SECONDS
    assert reason(raised.value) == "CONSENT_REVOKED"


@pytest.mark.parametrize("end", ENDS)
async def test_a_refinement_without_end_ends_with_the_consent(
    fake: Platform, ada: Metadata, end: str, tmp_path: Path
) -> None:
    silence, _ = ENDS[end]
    request = new_voice(await fake.upload(ada, SAMPLE.read_bytes()))
    request.voice.transcripts.append(f"until {tmp_path / 'never'}")
    request.voice.refinement_depth = voice_pb2.Refinement.STANDARD
    async with fake.worker():
        voice = await fake.voices.CreateVoice(request, metadata=ada)
        watch = voice_pb2.WatchVoiceRequest(name=voice.name, include_refinement=True)
        events = fake.voices.WatchVoice(watch, metadata=ada, timeout=60)
        async for event in events:
            if event.voice.refinement.progress_percent > 0:
                break
        began = time.monotonic()
        await silence(fake, ada, voice.name)
        await until_no_job_is_left(fake, "refinements")
        took = time.monotonic() - began

    assert took < BOUND_SECONDS


async def until_no_job_is_left(platform: Platform, queue: str) -> None:
    url = platform.settings.database_url.get_secret_value()
    query = "SELECT FROM procrastinate_jobs WHERE queue_name = %s AND status IN ('todo', 'doing')"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(60):
            while (await connection.execute(query, [queue])).rowcount:
                await asyncio.sleep(0.02)
