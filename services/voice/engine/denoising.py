"""Lowers steady noise behind speech, where the recording's pauses show what it is.

Measured on six LibriSpeech speakers with pink noise at 10 dB: what two encoders hear of the person (0: a stranger,
1: the clean recording) rises from 0.53 to 0.86; WebRTC's suppressor comes to 0.70.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from .port import Samples
from .spectrum import istft, stft
from .speech import Segment

Noise = npt.NDArray[np.float64]
"""(385,) mean power of the noise in each bin."""

_SIZE, _HOP = 768, 192
_FEWEST_FRAMES: Final = 20
_QUIETEST_PERCENT, _QUIETEST_TIMES = 10, 2.0
_OVER, _FLOOR, _MEMORY = 1.5, 0.1, 0.96


def profile(samples: Samples, speech: Sequence[Segment], rate: int) -> Noise:
    """What sounds between the speech; where there are no pauses, what is least in each bin."""
    powers = np.abs(stft(samples, size=_SIZE, hop=_HOP)).astype(np.float64) ** 2
    at = np.arange(len(powers)) * _HOP / rate
    pauses = np.ones(len(powers), bool)
    for segment in speech:
        pauses &= (at <= segment.start) | (at >= segment.end)
    if pauses.sum() > _FEWEST_FRAMES:
        return np.asarray(powers[pauses].mean(axis=0))
    return np.asarray(np.percentile(powers, _QUIETEST_PERCENT, axis=0) * _QUIETEST_TIMES)


def lowered(samples: Samples, noise: Noise) -> Samples:
    """The samples with the noise lowered by up to 20 dB: a Wiener filter whose signal-to-noise ratio is decided by what
    was let through before (Scalart and Filho, 1996)."""
    spectrum = stft(samples, size=_SIZE, hop=_HOP)
    gains = np.empty(spectrum.shape, np.float32)
    before = np.zeros(noise.size)
    for index, frame in enumerate(spectrum):
        after = np.abs(frame).astype(np.float64) ** 2 / (_OVER * noise + 1e-12)
        prior = _MEMORY * before + (1 - _MEMORY) * np.maximum(after - 1, 0)
        gain = np.maximum(prior / (1 + prior), _FLOOR)
        gains[index] = gain
        before = gain * gain * after
    return istft((spectrum * gains).astype(np.complex64), hop=_HOP, length=samples.size)
