"""Taking the long-term spectrum out of speech: what microphone, room and vocal tract add up to over time.

Both sides of a comparison are moved to one and the same spectrum, so that neither can be like the other by it
(cepstral mean normalisation, Atal 1974, done on the signal since each encoder has features of its own).
"""

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from services.voice.engine.port import Samples

_SIZE: Final = 512
_ACTIVE_DB: Final = 35.0
_SMOOTH_BINS: Final = 9
_LIMIT_NEPERS: Final = 2.5

Spectrum = npt.NDArray[np.float64]
"""(257,) mean log power over active frames, level taken out."""


def spectrum(speech: Sequence[Samples]) -> Spectrum:
    """The mean of these recordings' long-term spectra."""
    return np.asarray(np.mean([_long_term(samples) for samples in speech], axis=0))


def digest(target: Spectrum) -> str:
    """Tells spectra apart."""
    return hashlib.sha256(np.round(target, 4).tobytes()).hexdigest()


def flattened(samples: Samples, target: Spectrum) -> Samples:
    """The speech with the long-term spectrum of `target` (smoothed, moved by 22 dB at most), zero phase, same
    length."""
    raw = (target - _long_term(samples)) / 2
    kernel = np.ones(_SMOOTH_BINS) / _SMOOTH_BINS
    smooth = np.convolve(np.pad(raw, _SMOOTH_BINS // 2, "edge"), kernel, "valid")
    gains = np.exp(np.clip(smooth, -_LIMIT_NEPERS, _LIMIT_NEPERS))
    response = np.roll(np.fft.irfft(gains), _SIZE // 2) * np.hanning(_SIZE)
    start = _SIZE // 2
    return np.asarray(np.convolve(samples, response)[start : start + samples.size], np.float32)


def _long_term(samples: Samples) -> Spectrum:
    padded = np.pad(samples, (0, max(0, _SIZE - samples.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _SIZE)[:: _SIZE // 2] * np.hanning(_SIZE)
    powers = np.abs(np.fft.rfft(frames, axis=1)) ** 2 + 1e-10
    totals = 10 * np.log10(powers.sum(axis=1))
    active = np.log(powers[totals > np.percentile(totals, 95) - _ACTIVE_DB]).mean(axis=0)
    return np.asarray(active - active.mean())
