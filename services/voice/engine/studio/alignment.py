"""Laying what the model would say along what the person said: dynamic time warping of cepstra.

The model speaks the transcript; every frame of the recording is then given the frame of the model that says the
same. Features are cepstra with mean and variance taken out, so that neither voice nor channel is compared.
"""

from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..port import Samples
from ..spectrum import mel_bank, stft

RATE: Final = 24000
HOP: Final = 300
"""12.5 ms: the frames of pitch and energy; the features have half as many."""
_BANDS, _CEPSTRA = 40, 14
_SIZE, _ENERGY_SIZE, _ENERGY_BANDS = 1024, 2048, 80
_SIDEWAYS: Final = 1.2
"""Standing still in either costs this much more than moving in both."""

Floats = npt.NDArray[np.float32]


def cepstra(samples: Samples) -> Floats:
    """(frames, 27): cepstra 1 to 13, half their slopes, 1.5 times the energy; each normalised over the utterance."""
    bank = mel_bank(rate=RATE, size=_SIZE, bands=_BANDS, low=60.0, high=7600.0)
    logs = np.log((np.abs(stft(samples, size=_SIZE, hop=HOP)) ** 2) @ bank.T + 1e-7)
    energy = np.log(np.exp(logs).sum(axis=1))
    active = energy > np.percentile(energy, 95) - 8
    cosines = np.cos(np.pi * np.arange(_CEPSTRA) * (np.arange(_BANDS)[:, None] + 0.5) / _BANDS)
    shape = (logs @ cosines)[:, 1:]
    shape = (shape - shape[active].mean(axis=0)) / (shape[active].std(axis=0) + 1e-6)
    loud = np.clip((energy - energy[active].mean()) / (energy[active].std() + 1e-6), -3, 3)
    return np.concatenate([shape, 0.5 * np.gradient(shape, axis=0) * 2, 1.5 * loud[:, None]], axis=1).astype(np.float32)


def warp(one: Floats, other: Floats) -> tuple[npt.NDArray[np.float64], float]:
    """For every frame of `one` the place in `other` that goes with it, (frames,), and the mean cost of a step.

    Dynamic time warping (Sakoe and Chiba 1978) with steps (1, 1), (0, 1), (1, 0), one anti-diagonal at a time.
    """
    rows, columns = len(one), len(other)
    squares = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    cost = np.sqrt(np.maximum(squares, 0))
    steps = np.zeros((rows, columns), np.int8)
    total = np.full((rows + 1, columns + 1), np.inf)
    total[0, 0] = 0.0
    for diagonal in range(rows + columns - 1):
        i = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        j = diagonal - i
        here = cost[i, j]
        ways = np.stack([total[i, j] + here, total[i + 1, j] + _SIDEWAYS * here, total[i, j + 1] + _SIDEWAYS * here])
        best = ways.argmin(axis=0)
        steps[i, j] = best
        total[i + 1, j + 1] = ways[best, np.arange(i.size)]
    row, column, length = rows - 1, columns - 1, 0
    summed, counted = np.zeros(rows), np.zeros(rows)
    while row >= 0 and column >= 0:
        summed[row] += column
        counted[row] += 1
        length += 1
        step = steps[row, column]
        row, column = (row - 1, column - 1) if step == 0 else (row, column - 1) if step == 1 else (row - 1, column)
    # A first frame that was left before the path reached its row has what the next one has.
    places = np.interp(np.arange(rows), np.nonzero(counted)[0], (summed / np.maximum(counted, 1))[counted > 0])
    return places, float(total[rows, columns] / max(length, 1))


def energy(samples: Samples) -> Floats:
    """(frames,) the logarithm of the length of the mel spectrum: what the model's energy is, but for a line."""
    power = np.abs(_centred(samples)) ** 2
    made: Any = np.log(np.linalg.norm(power @ _htk_bank().T + 1e-5, axis=1))
    return np.asarray(made, np.float32)


def _centred(samples: Samples) -> npt.NDArray[np.complex64]:
    window = np.zeros(_ENERGY_SIZE, np.float32)
    length = 1200
    start = (_ENERGY_SIZE - length) // 2
    window[start : start + length] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    padded = np.pad(samples, _ENERGY_SIZE // 2, mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _ENERGY_SIZE)[::HOP]
    return np.fft.rfft(windows * window, axis=1).astype(np.complex64)


@lru_cache(maxsize=1)
def _htk_bank() -> Floats:
    """(80, 1025) triangles on the HTK mel scale, as if the rate were 16 kHz: so the model was trained."""

    def mels(hertz: npt.ArrayLike) -> Any:
        return 2595 * np.log10(1 + np.asarray(hertz) / 700)

    edges = 700 * (10 ** (np.linspace(0, mels(8000), _ENERGY_BANDS + 2) / 2595) - 1)
    bins = np.arange(_ENERGY_SIZE // 2 + 1) * 16000 / _ENERGY_SIZE
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)
