"""Fundamental frequency, in semitones above 1 Hz, so that a spread means the same for low and high voices."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt
import swift_f0

from .port import Samples

RATE: Final = 16000
LOWEST_HZ, HIGHEST_HZ = 55.0, 500.0
_SURE: Final = 0.7
_VOICED: Final = 0.5
_FEWEST_FRAMES: Final = 10


@dataclass(frozen=True)
class Pitch:
    """How high a voice speaks and how far it moves."""

    median: float
    """Semitones above 1 Hz."""
    spread: float
    """Half the distance from the 16th to the 84th percentile, in semitones."""

    @property
    def hertz(self) -> float:
        return float(2 ** (self.median / 12))


def measure(samples: Samples) -> Pitch | None:
    """The pitch of mono speech at RATE Hz; None when hardly anything in it is voiced.

    Measured with SwiftF0 (Nieradzik 2025): on LibriSpeech at 10 dB of noise it stays within 0.3 semitones of
    its figure for the clean speech, where WORLD's dio moves by up to 2.
    """
    found = _detector().detect(samples, RATE, fmin=LOWEST_HZ, fmax=HIGHEST_HZ)
    return summary(found.pitch_hz[found.confidence > _SURE])


def track(samples: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(frames,) times in seconds and pitches in Hz of mono speech at RATE Hz, 0 where it is unvoiced."""
    found = _detector().detect(samples, RATE, fmin=LOWEST_HZ, fmax=HIGHEST_HZ)
    voiced = found.confidence > _VOICED
    return np.asarray(found.timestamps), np.where(voiced, found.pitch_hz, 0.0)


def summary(hertz: npt.NDArray[np.floating]) -> Pitch | None:
    """The pitch of voiced frames given in Hz; None for fewer than ten of them."""
    if hertz.size < _FEWEST_FRAMES:
        return None
    semitones = 12 * np.log2(hertz)
    low, median, high = np.percentile(semitones, (16, 50, 84))
    return Pitch(median=float(median), spread=float((high - low) / 2))


@lru_cache(maxsize=1)
def _detector() -> swift_f0.SwiftF0:
    return swift_f0.SwiftF0(threads=1, spin=False)
