"""Generated voices, and an engine, ears and a writer for them: an evaluation without models."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from services.voice.engine import encode
from services.voice.engine.errors import TooShort, TranscriptUnclear
from services.voice.engine.port import (
    CancelCheck,
    Chunk,
    Depth,
    Enrolment,
    Progress,
    Refinement,
    Samples,
    never,
    unheard,
)
from services.voice.evaluation.hearing import Heard
from services.voice.evaluation.lossy import RATE
from services.voice.evaluation.sentences import SENTENCES

PITCHES = {"ann": 210.0, "bea": 250.0, "carl": 95.0, "dan": 130.0}


def tone(hertz: float, seconds: float, seed: int = 0, rate: int = RATE) -> Samples:
    """Harmonics of a pitch that come and go like syllables, with a little noise."""
    random = np.random.default_rng(seed)
    times = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * hertz * k * times) / k for k in range(1, 8))
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * times)
    return np.asarray(0.15 * wave * swell + random.normal(0, 1e-3, times.size), np.float32)


def folder_of_people(folder: Path, names: Sequence[str] = tuple(PITCHES)) -> Path:
    """Six short recordings of each."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for index in range(6):
            samples = tone(PITCHES[name] * (1 + 0.002 * index), 3.0, seed=index)
            (folder / name / f"{index}.wav").write_bytes(encode([samples], "wav", source_rate=RATE))
    return folder


def spectral(samples: Samples, bands: int) -> np.ndarray:
    """A vector of length 1 that tells pitches apart."""
    powers = np.abs(np.fft.rfft(samples[: RATE * 2], RATE * 2)) ** 2
    edges = np.linspace(120, 1200, bands + 1).astype(int)
    logs = np.log([powers[a:b].sum() + 1e-6 for a, b in itertools.pairwise(edges)])
    logs -= logs.mean()
    return np.asarray(logs / np.linalg.norm(logs), np.float32)


class SpectralEars:
    """Two ears of different fineness."""

    heard = 0

    def hear(self, samples: Samples) -> Heard:
        """See `hearing.Ears.hear`."""
        self.heard += 1
        return np.stack([spectral(samples, 64), np.pad(spectral(samples, 48), (0, 16))])


class Dictation:
    """Hears every text as it is, but for one word of each."""

    def text(self, samples: Samples) -> str:
        """The sentence, by the length that the fake engine gave it."""
        number = round(samples.size / RATE * 10) % 10
        return SENTENCES[number] if number < len(SENTENCES) else "somebody spoke"

    def sounds(self, text: str) -> int:
        """Letters."""
        return sum(letter.isalpha() for letter in text)


class TonalEngine:
    """Learns a pitch, badly at first and well when refined; each text has a length of its own."""

    name = "tonal"
    sample_rate = RATE
    enrolled = refined = 0

    def __init__(self, *, fails: str = "") -> None:
        """`fails` is the level that it fails at."""
        self.model_hash = hashlib.sha256(b"tonal").hexdigest()
        self._fails = fails

    def enrol(
        self, recordings: Sequence[bytes], *, progress: Progress = unheard, cancelled: CancelCheck = never
    ) -> Enrolment:
        """Twenty Hz too high."""
        type(self).enrolled += 1
        if self._fails == "instant":
            raise TooShort()
        return Enrolment(json.dumps({"hertz": _pitch(recordings[0]) + 20}).encode(), None)  # type: ignore[arg-type]

    def refine(
        self,
        artefact: bytes,
        recordings: Sequence[bytes],
        *,
        transcripts: Sequence[str] = (),
        depth: Depth = Depth.STANDARD,
        progress: Progress = unheard,
        cancelled: CancelCheck = never,
    ) -> Refinement:
        """Two Hz too high."""
        type(self).refined += 1
        if self._fails == "studio":
            raise TranscriptUnclear()
        made = json.dumps({"hertz": _pitch(recordings[0]) + 2}).encode()
        return Refinement(made, True, 0.5, 0.9, 10)

    def speak(
        self, artefact: bytes, text: str, *, speed: float = 1.0, cancelled: CancelCheck = never
    ) -> Iterator[Chunk]:
        """One chunk."""
        yield Chunk(self._said(json.loads(artefact)["hertz"], text))

    def baseline(self, artefact: bytes, text: str, *, most: int = 1) -> tuple[Samples, ...]:
        """Always the same voice."""
        return (self._said(170.0, text),)

    @staticmethod
    def _said(hertz: float, text: str) -> Samples:
        number = SENTENCES.index(text) if text in SENTENCES else 9
        return tone(hertz, 1.0 + number / 10)


class TonalParts:
    """See `parts.Parts`."""

    def __init__(self, *, fails: str = "") -> None:
        self.models = "0" * 64
        self.ears = SpectralEars()
        self.transcriber = Dictation()
        self.loaded = 0
        self._fails = fails

    def engine(self) -> TonalEngine:
        """Counts how often."""
        self.loaded += 1
        return TonalEngine(fails=self._fails)


def _pitch(recording: bytes) -> float:
    samples = np.frombuffer(recording[44:], "<i2").astype(np.float64)
    powers = np.abs(np.fft.rfft(samples)) ** 2
    low = int(60 * samples.size / RATE)
    return float((low + np.argmax(powers[low : int(400 * samples.size / RATE)])) * RATE / samples.size)
