"""What is spoken is signed: in every format, by a real worker and service, or it is not spoken."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2
from voicemesh.voice.v1 import provenance_pb2, speech_pb2, voice_pb2

from services.local import provenance as authority
from services.mesh import errors, names
from services.mesh.status import reason
from services.voice import manifests, receipts, signing
from services.voice.manifests import State
from services.voice.provenance_servicer import AT_ONCE
from services.voice.signing import Signatory
from services.voice.store.receipts import ReceiptRows
from services.voice.store.speeches import SpeechRows
from services.voice.worker import work_until
from tests.peers import Metadata, signed_in
from tests.voice.conftest import SAMPLE, Platform, working

Format = speech_pb2.AudioConfig.Format
Verdict = provenance_pb2.Verification.Verdict
Evidence = provenance_pb2.Verification.Evidence


_numbers = count(1)


def new_text() -> str:
    """A text that nobody has had spoken: the same voice says the same text in the same bytes."""
    return f"Hello there, number {next(_numbers)}."


@pytest.fixture(scope="module")
def bob() -> Metadata:
    return signed_in(names.new_id())


@pytest.fixture(scope="module")
async def voice(platform: Platform, bob: Metadata) -> voice_pb2.Voice:
    async with platform.worker():
        return await platform.ready(bob)


@pytest.fixture(scope="module")
def anchors(platform: Platform) -> signing.Anchors:
    return Signatory(platform.settings.signing).credential().anchors


async def create(platform: Platform, who: Metadata, voice: str, format: Any = Format.WAV) -> speech_pb2.Speech:
    speech = {"voice": voice, "text": new_text(), "audio_config": {"format": format}}
    made: speech_pb2.Speech = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech=speech), metadata=who
    )
    return made


async def finished(platform: Platform, who: Metadata, name: str) -> speech_pb2.Speech:
    call = platform.speeches.WatchSpeech(speech_pb2.WatchSpeechRequest(name=name), metadata=who, timeout=180)
    return [event async for event in call][-1].speech


async def download(platform: Platform, who: Metadata, name: str) -> bytes:
    call = platform.files.DownloadFile(storage_pb2.DownloadFileRequest(name=name), metadata=who)
    return b"".join([piece.data async for piece in call])


async def stored(platform: Platform, who: Metadata) -> list[str]:
    request = storage_pb2.ListFilesRequest(purpose=storage_pb2.File.SPEECH, page_size=200)
    return [file.name for file in (await platform.files.ListFiles(request, metadata=who)).files]


@pytest.mark.parametrize("format", [Format.WAV, Format.MP3, Format.FLAC, Format.OPUS, Format.PCM])
async def test_finished_speech_says_where_it_comes_from(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, anchors: signing.Anchors, format: Any
) -> None:
    async with platform.worker():
        speech = await finished(platform, bob, (await create(platform, bob, voice.name, format)).name)
    content = await download(platform, bob, speech.audio)

    receipt = receipts.read(speech.receipt, anchors)
    manifest = manifests.find(io.BytesIO(content), anchors)

    assert receipt.sha256 == hashlib.sha256(content).hexdigest()
    assert receipt.size == len(content)
    assert receipt.origin == receipts.Origin(voice.name, f"{voice.name}/consent", speech.engine, speech.model_hash)
    if format in (Format.OPUS, Format.PCM):
        assert manifest is None
    else:
        assert manifest == manifests.Manifest(State.INTACT, receipt.origin, receipt.made_at)


def stripped(content: bytes) -> bytes:
    """A file without its manifest, as a tool would leave it that knows nothing of manifests."""
    if content[:4] == b"RIFF":
        end = content.index(b"C2PA")
        return b"RIFF" + (end - 8).to_bytes(4, "little") + content[8:end]
    length = sum((byte & 0x7F) << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))
    return content[10 + length :]


async def verify(platform: Platform, content: bytes, piece: int = 1 << 16) -> provenance_pb2.Verification:
    """As anybody, who has not signed in."""

    async def pieces() -> AsyncIterator[provenance_pb2.VerifyAudioRequest]:
        for start in range(0, len(content), piece):
            body = httpbody_pb2.HttpBody(data=content[start : start + piece])
            yield provenance_pb2.VerifyAudioRequest(content=body)

    found: provenance_pb2.Verification = await platform.provenance.VerifyAudio(pieces(), timeout=60)
    return found


@pytest.mark.parametrize("format", [Format.WAV, Format.MP3, Format.FLAC])
async def test_anybody_is_told_of_a_file_whether_it_was_made_here_was_altered_or_is_not_known(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, format: Any
) -> None:
    async with platform.worker():
        speech = await finished(platform, bob, (await create(platform, bob, voice.name, format)).name)
    content = await download(platform, bob, speech.audio)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    # As it would be if the database had been lost: the manifest speaks for itself.
    padded = content.replace(b"urn:c2pa:", b"urn:c2pb:", 1)
    bare = stripped(content)
    both = bytearray(bare)
    both[-100] ^= 1

    made, changed, torn, without, gone = [
        await verify(platform, each) for each in (content, bytes(flipped), padded, bare, bytes(both))
    ]

    assert (made.verdict, made.evidence, made.receipt) == (Verdict.MADE_HERE, Evidence.RECEIPT, speech.receipt)
    assert (changed.verdict, changed.evidence, changed.receipt) == (Verdict.ALTERED, Evidence.MANIFEST, "")
    assert (without.verdict, without.evidence, without.receipt) == (Verdict.ALTERED, Evidence.RECEIPT, speech.receipt)
    assert gone == provenance_pb2.Verification(verdict=Verdict.UNKNOWN, sha256=hashlib.sha256(both).hexdigest())
    assert torn.verdict == Verdict.ALTERED
    for each in (made, changed, without):
        assert (each.voice, each.consent) == (voice.name, f"{voice.name}/consent")
        assert (each.engine, each.model_hash) == (speech.engine, speech.model_hash)
        assert each.make_time.seconds > 0
    assert made.sha256 == hashlib.sha256(content).hexdigest()


async def test_a_manifest_alone_proves_it_where_no_receipt_was_kept(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with platform.worker():
        speech = await finished(platform, bob, (await create(platform, bob, voice.name)).name)

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(ReceiptRows, "of_audio", nothing)
    monkeypatch.setattr(ReceiptRows, "of_sound", nothing)
    found = await verify(platform, await download(platform, bob, speech.audio))

    assert (found.verdict, found.evidence, found.voice) == (Verdict.MADE_HERE, Evidence.MANIFEST, voice.name)


async def test_a_receipt_written_into_the_database_by_somebody_who_cannot_sign_proves_nothing(
    platform: Platform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stranger = Signatory(authority.ensure(tmp_path)["voice"]).credential()
    content = SAMPLE.read_bytes()
    receipt = receipts.Receipt(
        names.new_id(),
        hashlib.sha256(content).hexdigest(),
        len(content),
        "audio/flac",
        receipts.origin(names.new_id(), "kokoro-v1", "a" * 64),
        datetime.now(UTC),
    )

    async def forged(*_: Any) -> str:
        return receipts.issue(receipt, stranger)

    monkeypatch.setattr(ReceiptRows, "of_audio", forged)
    monkeypatch.setattr(ReceiptRows, "of_sound", forged)

    assert (await verify(platform, content)).verdict == Verdict.UNKNOWN


async def test_a_file_of_somebody_elses_is_unknown(platform: Platform) -> None:
    for content in (SAMPLE.read_bytes(), b"no audio at all", b"RIFF" + b"c2pa" * 9999, b"ID3\x04" + b"\xff" * 99):
        found = await verify(platform, content)

        assert found == provenance_pb2.Verification(verdict=Verdict.UNKNOWN, sha256=hashlib.sha256(content).hexdigest())


async def test_what_is_nothing_or_too_much_is_refused(platform: Platform) -> None:
    largest = platform.settings.largest_verified_bytes
    for content, why in ((b"", "FILE_EMPTY"), (bytes(largest + 1), "FILE_TOO_LARGE")):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await verify(platform, content, piece=1 << 20)

        assert (raised.value.code(), reason(raised.value)) == (grpc.StatusCode.INVALID_ARGUMENT, why)


async def test_no_more_files_are_taken_in_at_once_than_there_is_room_for(platform: Platform) -> None:
    held, begun = asyncio.Event(), asyncio.Semaphore(0)

    async def slow() -> AsyncIterator[provenance_pb2.VerifyAudioRequest]:
        yield provenance_pb2.VerifyAudioRequest(content=httpbody_pb2.HttpBody(data=b"RIFF"))
        begun.release()
        await held.wait()

    calls = [asyncio.ensure_future(platform.provenance.VerifyAudio(slow())) for _ in range(AT_ONCE)]
    for _ in calls:
        await begun.acquire()
    refused = None
    while refused is None:
        # The last of them may still be on its way.
        try:
            await verify(platform, b"one more")
        except grpc.aio.AioRpcError as error:
            refused = error
    held.set()
    done = await asyncio.gather(*calls)

    assert (refused.code(), reason(refused)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "VERIFICATION_BUSY")
    assert {each.verdict for each in done} == {Verdict.UNKNOWN}
    assert (await verify(platform, b"room again")).verdict == Verdict.UNKNOWN


async def test_audio_that_is_streamed_has_a_receipt_when_it_has_ended(
    platform: Platform, bob: Metadata, eve: Metadata, voice: voice_pb2.Voice, anchors: signing.Anchors
) -> None:
    for format in (Format.WAV, Format.PCM, Format.OPUS):
        request = speech_pb2.SpeakRequest(name=voice.name, text=new_text(), audio_config={"format": format})
        call = platform.speeches.Speak(request, metadata=bob, timeout=120)
        content = b"".join([body.data async for body in call])
        name = dict(await call.initial_metadata())["x-voicemesh-receipt"]
        token = dict(await call.trailing_metadata())["x-voicemesh-receipt-token"]
        asked = provenance_pb2.GetReceiptRequest(name=name)

        receipt = receipts.read(token, anchors)
        kept = await platform.provenance.GetReceipt(asked, metadata=bob)
        found = await platform.provenance.VerifyDigest(
            provenance_pb2.VerifyDigestRequest(sha256=hashlib.sha256(content).hexdigest().upper())
        )

        assert (receipt.name, receipt.sha256, receipt.size) == (name, hashlib.sha256(content).hexdigest(), len(content))
        assert receipt.origin.voice == voice.name
        assert kept == provenance_pb2.Receipt(name=name, token=token)
        assert (found.verdict, found.receipt, found.voice) == (Verdict.MADE_HERE, token, voice.name)
        assert (await verify(platform, content)).verdict == Verdict.MADE_HERE
        assert (await verify(platform, content[:-1])).verdict == Verdict.UNKNOWN
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await platform.provenance.GetReceipt(asked, metadata=eve)
        assert reason(raised.value) == "RECEIPT_NOT_FOUND"


async def test_audio_with_the_times_of_its_words_has_its_receipt_in_the_last_message(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, anchors: signing.Anchors
) -> None:
    request = speech_pb2.SpeakWithTimestampsRequest(name=voice.name, text="Hello there.")
    told = [each async for each in platform.speeches.SpeakWithTimestamps(request, metadata=bob, timeout=120)]

    content = b"".join(each.audio for each in told)
    receipt = receipts.read(told[-1].receipt, anchors)

    assert [bool(each.receipt) for each in told].index(True) == len(told) - 1
    assert receipt.sha256 == hashlib.sha256(content).hexdigest()


async def test_whoever_hangs_up_has_no_receipt(platform: Platform, bob: Metadata, voice: voice_pb2.Voice) -> None:
    request = speech_pb2.SpeakRequest(name=voice.name, text="This goes on for a while. " * 20)
    call = platform.speeches.Speak(request, metadata=bob, timeout=120)
    await call.read()
    name = dict(await call.initial_metadata())["x-voicemesh-receipt"]
    call.cancel()

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await platform.provenance.GetReceipt(provenance_pb2.GetReceiptRequest(name=name), metadata=bob)

    assert reason(raised.value) == "RECEIPT_NOT_FOUND"


async def test_nothing_is_said_at_once_that_cannot_be_signed(
    platform: Platform, bob: Metadata, voice: voice_pb2.Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise signing.unavailable()

    monkeypatch.setattr(Signatory, "credential", broken)
    request = speech_pb2.SpeakRequest(name=voice.name, text="Hello there.")
    call = platform.speeches.Speak(request, metadata=bob, timeout=120)
    heard = []
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        async for body in call:
            heard.append(body)

    assert (raised.value.code(), reason(raised.value)) == (grpc.StatusCode.UNAVAILABLE, "SIGNING_UNAVAILABLE")
    assert heard == []


async def test_speech_whose_worker_was_lost_after_storing_it_is_stored_once_and_its_receipt_is_for_what_is_stored(
    platform: Platform, voice: voice_pb2.Voice, bob: Metadata, anchors: signing.Anchors, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken, lost = SpeechRows.spoken, list[str]()

    async def once_lost(rows: SpeechRows, id: str, run: int, result: Any) -> bool:
        if not lost:
            lost.append(result.audio)
            raise errors.Unavailable("DATABASE_UNAVAILABLE", "gone")
        return await spoken(rows, id, run, result)

    monkeypatch.setattr(SpeechRows, "spoken", once_lost)
    before = await stored(platform, bob)
    async with platform.worker():
        speech = await finished(platform, bob, (await create(platform, bob, voice.name)).name)
    content = await download(platform, bob, speech.audio)

    assert speech.state == speech_pb2.Speech.READY
    assert lost == [speech.audio]
    assert set(await stored(platform, bob)) - set(before) == {speech.audio}
    assert receipts.read(speech.receipt, anchors).sha256 == hashlib.sha256(content).hexdigest()
    assert manifests.find(io.BytesIO(content), anchors) is not None


async def test_what_cannot_be_signed_is_tried_again_then_fails_and_nothing_is_stored(
    platform: Platform, voice: voice_pb2.Voice, bob: Metadata, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []

    def broken(*_: Any) -> None:
        tried.append(1)
        raise signing.unavailable()

    monkeypatch.setattr(manifests, "embed", broken)
    before = await stored(platform, bob)
    created = await create(platform, bob, voice.name)
    async with working(platform.settings.model_copy(update={"job_attempts": 2})):
        speech = await finished(platform, bob, created.name)

    assert len(tried) == 2
    assert (speech.state, speech.failure.reason) == (speech_pb2.Speech.FAILED, "UNAVAILABLE")
    assert (speech.audio, speech.receipt) == ("", "")
    assert await stored(platform, bob) == before


async def test_a_worker_without_a_certificate_for_signing_does_not_begin(platform: Platform, tmp_path: Path) -> None:
    import asyncio

    with pytest.raises(errors.Unavailable) as raised:
        await work_until(asyncio.Event(), platform.settings.model_copy(update={"provenance": tmp_path}))

    assert raised.value.reason == "SIGNING_UNAVAILABLE"
