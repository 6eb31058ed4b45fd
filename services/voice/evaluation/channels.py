"""Simulated microphones, rooms, noise and codecs, so that a recording's channel does not count as its voice."""

from typing import Any

import numpy as np
import numpy.typing as npt

from services.voice.engine.port import Samples

from .lossy import CODECS, RATE, through_codec


def through_channel(samples: Samples, seed: int, *, codec: bool = True) -> Samples:
    """Mono speech at RATE Hz through another microphone (a smooth curve of 5 to 9 dB), another room (0.15 to 0.35 s
    of exponential decay), coloured noise 22 to 32 dB below and one of CODECS; the same for the same seed.

    Peaks at 0.7. Without `codec` all but the last is the same.
    """
    random = np.random.default_rng(seed)
    count = samples.size
    corners = np.cumsum(random.normal(0, 1, 8))
    corners -= corners.mean()
    corners = corners / np.abs(corners).max() * random.uniform(5, 9)
    frequencies = np.fft.rfftfreq(4096, 1 / RATE)
    places = np.linspace(np.log10(50), np.log10(8050), 8)
    gains = 10 ** (np.interp(np.log10(frequencies + 50), places, corners) / 20)
    response = np.roll(np.fft.irfft(gains), 2048) * np.hanning(4096)
    shaped = _convolved(samples, response)[2047 : 2047 + count]
    decay = random.uniform(0.15, 0.35)
    times = np.arange(int(RATE * decay)) / RATE
    room = random.normal(0, 1, times.size) * 10 ** (-3 * times / decay)
    room[0] = 0
    room *= random.uniform(0.15, 0.35) / np.sqrt((room**2).sum())
    room[0] = 1
    shaped = _convolved(shaped, room)[:count]
    noise = np.cumsum(random.normal(0, 1, count))
    noise -= np.convolve(noise, np.ones(400) / 400, "same")
    shaped = shaped + noise / noise.std() * shaped.std() * 10 ** (-random.uniform(22, 32) / 20)
    recorded = np.asarray(shaped / np.abs(shaped).max() * 0.7, np.float32)
    if not codec:
        return recorded
    heard = through_codec(recorded, codec_of(seed))
    return np.asarray(heard / np.abs(heard).max() * 0.7, np.float32)


def codec_of(seed: int) -> str:
    """Which of CODECS the channel of this seed has."""
    # A generator of its own, so that the rest of the channel does not change with the codecs that there are.
    return str(np.random.default_rng([seed, 1]).choice(list(CODECS)))


def _convolved(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    size = one.size + other.size - 1
    length = 1 << (size - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(one, length) * np.fft.rfft(other, length), length)[:size]
