"""The long-term spectral envelope: what microphone, room and vocal tract add up to, and moving one to another.

Measured on LibriSpeech, the envelope carries a good part of what an encoder hears as identity, and the
recording channel with it: a clone takes on both.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

from .port import Samples
from .spectrum import SILENCE, istft, mel_bank, mel_centres, stft

RATE: Final = 24000
BANDS: Final = 64
_SIZE, _HOP = 1024, 256
_LOW_HZ, _HIGH_HZ = 40.0, 12000.0
CENTRES: Final = mel_centres(bands=BANDS, low=_LOW_HZ, high=_HIGH_HZ)
"""(64,) centre frequencies of the bands in Hz."""
_BINS: Final = np.arange(_SIZE // 2 + 1) * RATE / _SIZE
_COEFFICIENTS: Final = 20
_LIMIT_NEPERS: Final = 2.0
_ACTIVE_DB: Final = 35.0
_NEPER_DB: Final = 20 / np.log(10)

Envelope = npt.NDArray[np.float32]
"""(64,) mean log power in the bands over active frames, in nepers of power, level taken out."""


def envelope(samples: Samples) -> Envelope:
    """The envelope of mono speech at RATE Hz."""
    bank = mel_bank(rate=RATE, size=_SIZE, bands=BANDS, low=_LOW_HZ, high=_HIGH_HZ)
    powers = (np.abs(stft(samples, size=_SIZE, hop=_HOP)) ** 2) @ bank.T
    logs = np.log(powers + SILENCE)
    totals = np.log(np.exp(logs).sum(axis=1))
    active = logs[totals > np.percentile(totals, 95) - _ACTIVE_DB / (_NEPER_DB / 2)]
    level = np.log(np.exp(active).sum(axis=1).mean())
    return np.asarray(active.mean(axis=0) - level, np.float32)


def difference(source: Envelope, target: Envelope, *, bandwidth_hz: float) -> Envelope:
    """(64,) log-power gain, in nepers, that makes `source` sound like `target`: smoothed, and bounded to ±17 dB
    of amplitude. Above the target's bandwidth nothing is known, so the gain stays what it was at its edge."""
    raw = target - source
    known = max(1, int((bandwidth_hz * 0.95 > CENTRES).sum()))
    raw = np.concatenate([raw[:known], np.full(BANDS - known, raw[known - 1], np.float32)])
    smooth = ((raw @ _COSINES) * _WEIGHTS) @ _COSINES.T
    return np.asarray(np.clip(smooth, -2 * _LIMIT_NEPERS, 2 * _LIMIT_NEPERS), np.float32)


def apply(samples: Samples, gain: Envelope) -> Samples:
    """Speech at RATE Hz with the gain of `difference`, zero phase, same length."""
    spectrum = stft(samples, size=_SIZE, hop=_HOP)
    amplitudes = np.exp(np.interp(_BINS, CENTRES, gain) / 2).astype(np.float32)
    return istft(spectrum * amplitudes, hop=_HOP, length=samples.size)


_COSINES: Final = (
    np.cos(np.pi * np.arange(_COEFFICIENTS) * (np.arange(BANDS)[:, None] + 0.5) / BANDS) * np.sqrt(2 / BANDS)
).astype(np.float32)
_WEIGHTS: Final = np.where(np.arange(_COEFFICIENTS) == 0, 0.5, 1.0).astype(np.float32)
