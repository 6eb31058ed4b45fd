"""Short-time spectra and mel bands in plain numpy (the usual ones would pull librosa, numba and scipy)."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from .port import Samples

SILENCE = 1e-8


def stft(samples: Samples, *, size: int, hop: int) -> npt.NDArray[np.complex64]:
    """(frames, size // 2 + 1) with a periodic Hann window, frames centred on multiples of `hop`."""
    padded = np.pad(samples.astype(np.float32, copy=False), (size // 2, size // 2 + max(0, size - samples.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    return np.fft.rfft(frames * hann(size), axis=1).astype(np.complex64)


def istft(spectrum: npt.NDArray[np.complex64], *, hop: int, length: int) -> Samples:
    """The inverse of `stft` by weighted overlap-add, exact when nothing was changed; (length,)."""
    size = 2 * (spectrum.shape[1] - 1)
    window = hann(size)
    frames = np.fft.irfft(spectrum, n=size, axis=1).astype(np.float32) * window
    total = np.zeros(size + hop * (len(frames) - 1), np.float32)
    weight = np.zeros_like(total)
    for index, frame in enumerate(frames):
        total[index * hop : index * hop + size] += frame
        weight[index * hop : index * hop + size] += window**2
    start = size // 2
    samples = (total / np.maximum(weight, 1e-3))[start : start + length]
    return np.pad(samples, (0, length - samples.size)).astype(np.float32)


@lru_cache(maxsize=8)
def hann(size: int) -> npt.NDArray[np.float32]:
    """The periodic Hann window, (size,)."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)


@lru_cache(maxsize=8)
def mel_bank(*, rate: int, size: int, bands: int, low: float, high: float) -> npt.NDArray[np.float32]:
    """(bands, size // 2 + 1) triangles of unit area on the Slaney mel scale (Auditory Toolbox, 1998)."""
    edges = _hertz(np.linspace(_mel(low), _mel(high), bands + 2))
    bins = np.arange(size // 2 + 1) * rate / size
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = np.maximum(0, np.minimum(rising, falling))
    return (triangles * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def mel_centres(*, bands: int, low: float, high: float) -> npt.NDArray[np.float64]:
    """(bands,) centre frequencies in Hz of the triangles of `mel_bank`."""
    return _hertz(np.linspace(_mel(low), _mel(high), bands + 2))[1:-1]


_KNEE_HZ, _STEP_HZ, _LOG_STEP = 1000.0, 200 / 3, np.log(6.4) / 27
_KNEE_MEL = _KNEE_HZ / _STEP_HZ


def _mel(hertz: float) -> float:
    if hertz < _KNEE_HZ:
        return hertz / _STEP_HZ
    return float(_KNEE_MEL + np.log(hertz / _KNEE_HZ) / _LOG_STEP)


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mels < _KNEE_MEL, mels * _STEP_HZ, _KNEE_HZ * np.exp(_LOG_STEP * (mels - _KNEE_MEL)))
