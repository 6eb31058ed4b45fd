"""What is spoken is signed: in every format, by a real worker and service, or it is not spoken."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import pytest
from voicemesh.storage.v1 import storage_pb2
from voicemesh.voice.v1 import speech_pb2, voice_pb2

from services.mesh import errors, names
from services.voice import manifests, receipts, signing
from services.voice.manifests import State
from services.voice.signing import Signatory
from services.voice.store.speeches import SpeechRows
from services.voice.worker import work_until
from tests.peers import Metadata, signed_in
from tests.voice.conftest import Platform, working

Format = speech_pb2.AudioConfig.Format


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
    speech = {"voice": voice, "text": "Hello there.", "audio_config": {"format": format}}
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
