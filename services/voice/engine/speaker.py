"""The GE2E speaker encoder: a recording as a point among voices (Wan et al. 2018).

Learning a voice ranks the stock voices with it; `services.voice.evaluation` judges clones with another encoder.
"""

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from . import sessions
from .port import Samples
from .spectrum import mel_bank, stft

RATE: Final = 16000
BANDS: Final = 40
_WINDOW_FRAMES, _STEP_FRAMES = 160, 77
SIZE, HOP = 400, 160
"""Samples of a window, and between windows, at RATE."""
WINDOW_S, STEP_S = _WINDOW_FRAMES * HOP / RATE, _STEP_FRAMES * HOP / RATE
_LOUDNESS_DB: Final = -30.0
_CUT_FRAME: Final = 480


class SpeakerEncoder:
    """Embeds speech; safe to use from several threads."""

    def __init__(self, path: Path, *, threads: int) -> None:
        self._session = sessions.open_session(path, threads=threads)

    def embed(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(256,) of length 1, from mono speech at RATE Hz; pauses are cut and loudness levelled here."""
        return self.embed_mel(mel(samples))

    def embed_mel(self, spectrum: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The same from what `mel` gives."""
        mean = self._windows(spectrum).mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def embed_windows(self, samples: Samples) -> npt.NDArray[np.float32]:
        """(n, 256), each of length 1, of every WINDOW_S of mono speech at RATE Hz, STEP_S apart; nothing is cut."""
        return self._windows(_powers(_raised(samples)))

    def _windows(self, spectrum: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        short = max(0, _WINDOW_FRAMES - len(spectrum))
        padded = np.pad(spectrum, ((0, short), (0, 0)))
        starts = range(0, len(padded) - _WINDOW_FRAMES + 1, _STEP_FRAMES)
        windows = np.stack([padded[start : start + _WINDOW_FRAMES] for start in starts]).astype(np.float32)
        (embeddings,) = sessions.run(self._session, {"mel": windows})
        return np.asarray(embeddings, np.float32)


def mel(samples: Samples) -> npt.NDArray[np.float32]:
    """(frames, 40) mel powers, 100 frames a second, of speech at RATE Hz without its pauses."""
    return _powers(without_pauses(samples))


def _powers(speech: Samples) -> npt.NDArray[np.float32]:
    bank = mel_bank(rate=RATE, size=SIZE, bands=BANDS, low=0.0, high=RATE / 2)
    return np.asarray((np.abs(stft(speech, size=SIZE, hop=HOP)) ** 2) @ bank.T, np.float32)


def _raised(samples: Samples) -> Samples:
    level = float(np.sqrt(np.mean(samples**2))) + 1e-9
    return samples * np.float32(max(1.0, 10 ** (_LOUDNESS_DB / 20) / level))


def without_pauses(samples: Samples) -> Samples:
    """Raised to -30 dBFS if it is quieter; pauses longer than about 0.2 s cut."""
    samples = _raised(samples)
    count = samples.size // _CUT_FRAME
    if count < 4:
        return samples
    frames = samples[: count * _CUT_FRAME].reshape(count, _CUT_FRAME)
    decibels = 20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) + 1e-9)
    active = decibels > max(float(np.percentile(decibels, 95)) - 35, -70)
    active = np.convolve(active, np.ones(8) / 8, "same") >= 0.5
    active = np.convolve(active, np.ones(7), "same") > 0.5
    return np.ascontiguousarray(frames[active].ravel()) if active.sum() > 10 else samples
