"""Workers as processes of their own: killed in mid-job, stopped in mid-job, and jobs that cannot succeed."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from voicemesh.voice.v1 import speech_pb2, voice_pb2

from services.voice import engine_process
from services.voice.worker import refining
from tests.peers import Metadata
from tests.voice.conftest import SAMPLE, Platform
from tests.voice.engine.media import behind, noise, recorded, robin

State = voice_pb2.Voice.State
ROOT = Path(__file__).parents[2]


@pytest.fixture
def start_worker(platform: Platform) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Starts real worker processes, and kills what is left of them."""
    started: list[subprocess.Popen[bytes]] = []
    settings = platform.settings
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "gen")]),
        "VOICEMESH_VOICE_TLS": str(settings.tls),
        "VOICEMESH_VOICE_DATABASE_URL": settings.database_url.get_secret_value(),
        "VOICEMESH_VOICE_STORAGE_ADDRESS": settings.storage_address,
        "VOICEMESH_VOICE_PAGE_TOKEN_KEY": settings.page_token_key.get_secret_value(),
        "VOICEMESH_VOICE_HEARTBEAT_SECONDS": str(settings.heartbeat_seconds),
        "VOICEMESH_VOICE_STALLED_SECONDS": str(settings.stalled_seconds),
        "VOICEMESH_VOICE_DRAIN_SECONDS": "0",
    }

    def start() -> subprocess.Popen[bytes]:
        worker = subprocess.Popen([sys.executable, "-m", "services.voice.worker"], env=environment, cwd=ROOT)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.wait()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_job_of_a_worker_that_ends_in_its_middle_is_finished_by_the_next(
    platform: Platform, ada: Metadata, start_worker: Callable[[], subprocess.Popen[bytes]], how: signal.Signals
) -> None:
    async with platform.worker():
        voice = await platform.ready(ada)
    text = "This is a long story, and it goes on for quite a while. " * 5
    created = await platform.speeches.CreateSpeech(
        speech_pb2.CreateSpeechRequest(speech={"voice": voice.name, "text": text}), metadata=ada
    )
    first = start_worker()

    watch = platform.speeches.WatchSpeech(speech_pb2.WatchSpeechRequest(name=created.name), metadata=ada, timeout=240)
    ended = False
    async for event in watch:
        if not ended and event.speech.state == State.PROCESSING and event.speech.progress_percent > 0:
            first.send_signal(how)
            first.wait()
            start_worker()
            ended = True
        last = event

    assert ended
    assert last.speech.state == State.READY, last.speech.failure
    assert last.speech.characters == len(text)


def recording(seconds: float, *, silent: bool = False, codec: str = "wav") -> bytes:
    """The sample's first seconds, or silence, as a file."""
    with av.open(str(SAMPLE)) as container:
        samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
        rate = container.streams.audio[0].rate
    samples = np.resize(samples, int(seconds * rate))
    if silent:
        samples = np.zeros_like(samples)
    if samples.dtype != np.int16:
        samples = (samples.astype(np.float64) / np.iinfo(np.int32).max * 32767).astype(np.int16)
    into = io.BytesIO()
    with av.open(into, "w", format=codec) as output:
        stream = output.add_stream("flac" if codec == "flac" else "pcm_s16le", rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return into.getvalue()


async def test_what_cannot_be_learned_fails_with_its_reason(platform: Platform, ada: Metadata) -> None:
    whole = recording(12, codec="flac")
    expected = {
        "TOO_SHORT": recording(2),
        "SILENT": recording(8, silent=True),
        "TOO_LONG": recording(601),
        "TRUNCATED": whole[: len(whole) // 2],
        "TOO_NOISY": recorded("wav", behind(robin(16000), noise(48000, -20), -3), rate=16000),
        "CLIPPED_BADLY": recorded("wav", np.clip(robin(16000) * 60, -1, 1), rate=16000),
    }

    failures = {}
    async with platform.worker():
        for why, content in expected.items():
            created = await platform.create(ada, await platform.upload(ada, content))
            failures[why] = (await platform.until_final(ada, created.name))[-1].voice

    assert {why: voice.failure.reason for why, voice in failures.items()} == {why: why for why in expected}
    assert all(voice.state == State.FAILED and voice.failure.message for voice in failures.values())


async def test_a_recording_deleted_before_the_work_begins(platform: Platform, ada: Metadata) -> None:
    from voicemesh.storage.v1 import storage_pb2

    name = await platform.upload(ada, SAMPLE.read_bytes())
    created = await platform.create(ada, name)
    await platform.files.DeleteFile(storage_pb2.DeleteFileRequest(name=name), metadata=ada)

    async with platform.worker():
        voice = (await platform.until_final(ada, created.name))[-1].voice

    assert voice.failure.reason == "RECORDING_GONE"


def test_a_refinement_is_made_by_the_engine_of_the_settings(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.voice.worker.open_engine", lambda *_, serve, **__: serve)
    settings = platform.settings.model_copy(update={"engine": "another-v1", "refinement_niceness": 7})

    serve: Any = refining(settings)

    assert serve.func is engine_process.main
    assert serve.keywords == {"engine": "another-v1", "niceness": 7}
