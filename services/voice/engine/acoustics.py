"""What a room, its power lines and its loudspeakers add to speech, measured without knowing the speech itself.

The limits in `findings` come from eleven real speakers in simulated noise, rooms and hum, and fourteen real pieces of
music: docs/engine.md has the figures.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from .port import Samples
from .spectrum import istft, stft
from .speech import RATE, Segment

_DECAY_SIZE, _DECAY_HOP, _DECAY_FRAMES = 512, 64, 25
_DECAY_BANDS_HZ: Final = ((400, 800), (800, 1600), (1600, 3200))
_FEWEST_DECAYS: Final = 300
_STEEPEST_PERCENT: Final = 5
_MUSIC_SIZE, _MUSIC_HOP = 2048, 512
_MUSIC_BAND_HZ: Final = (350, 3250)
_PEAK: Final = 8.0
_NEIGHBOURS: Final = 12
_FEWEST_PAUSE_FRAMES: Final = 12
_TAIL_S: Final = 0.15
_AUDIBLE: Final = 1e-7
_HUM_SIZE: Final = 8192
_TELLING, _HARMONICS = 5, 20
_HUM_DB, _HUM_SUM_DB = 12.0, 28.0
_NOTCH_SIZE: Final = 16384
_NOTCH_HZ: Final = 3.0


def decay_seconds(samples: Samples) -> float | None:
    """In what time speech at RATE Hz dies away by 60 dB where it dies away fastest; None where noise hides it.

    Speech by itself ends abruptly now and then, within 0.12 to 0.18 s; behind a room nothing falls faster than the
    room lets it, which is the idea of blind estimation by decay rates (Wen, Habets and Naylor, 2008). The 5th
    percentile of the slopes of log energy over 0.1 s, in three octaves.
    """
    powers = np.abs(stft(samples, size=_DECAY_SIZE, hop=_DECAY_HOP)) ** 2
    frequencies = np.fft.rfftfreq(_DECAY_SIZE, 1 / RATE)
    times = np.arange(_DECAY_FRAMES) * _DECAY_HOP / RATE
    times -= times.mean()
    slopes = []
    for low, high in _DECAY_BANDS_HZ:
        levels = 10 * np.log10(powers[:, (frequencies >= low) & (frequencies < high)].sum(axis=1) + 1e-12)
        if levels.size < _DECAY_FRAMES:
            return None
        floor, top = np.percentile(levels, (5, 95))
        windows = np.lib.stride_tricks.sliding_window_view(levels, _DECAY_FRAMES)
        slope = (windows @ times) / (times @ times)
        loud = (windows[:, 0] > top - 20) & (windows[:, -1] > floor + 8) & (windows.mean(axis=1) > floor + 20)
        slopes.append(slope[loud & (slope < -20)])
    found = np.concatenate(slopes)
    if found.size < _FEWEST_DECAYS:
        return None
    return float(60 / -np.percentile(found, _STEEPEST_PERCENT))


def tonality(samples: Samples, speech: Sequence[Segment]) -> float | None:
    """How much of what sounds between the speech, at RATE Hz, is sustained tones, 0 to 1; None without pauses.

    The energy of bins that stand 9 dB out of their surroundings and stay for 64 ms or more, between 350 and 3250 Hz:
    music, where noise, rooms and murmuring people have none. The first 0.15 s after speech are its own echo.
    """
    powers = np.abs(stft(samples, size=_MUSIC_SIZE, hop=_MUSIC_HOP)) ** 2
    frequencies = np.fft.rfftfreq(_MUSIC_SIZE, 1 / RATE)
    band = powers[:, (frequencies > _MUSIC_BAND_HZ[0]) & (frequencies < _MUSIC_BAND_HZ[1])]
    totals = band.sum(axis=1)
    at = np.arange(len(band)) * _MUSIC_HOP / RATE
    pauses = totals > totals.max() * _AUDIBLE
    for segment in speech:
        pauses &= (at <= segment.start - _MUSIC_SIZE / 2 / RATE) | (at >= segment.end + _TAIL_S)
    together = pauses[2:] & pauses[:-2]
    if together.sum() < _FEWEST_PAUSE_FRAMES:
        return None
    padded = np.pad(band, ((0, 0), (_NEIGHBOURS, _NEIGHBOURS)), mode="edge")
    involved = np.nonzero(np.convolve(together, (1, 0, 1)) > 0)[0]
    peaks = np.zeros(band.shape, bool)
    around = np.lib.stride_tricks.sliding_window_view(padded[involved], 2 * _NEIGHBOURS + 1, axis=1)
    peaks[involved] = band[involved] > _PEAK * (np.median(around, axis=2) + 1e-15)
    lasting = np.minimum(band[:-2], band[2:]) * (peaks[:-2] & peaks[2:])
    shares = lasting.sum(axis=1) / np.maximum(np.maximum(totals[:-2], totals[2:]), 1e-15)
    return float(shares[together].mean())


def hum_hertz(samples: Samples) -> tuple[int, ...]:
    """The harmonics of 50 or 60 Hz, in Hz, with which the mains hum in audio at RATE Hz; none where they do not."""
    powers = np.abs(stft(samples, size=_HUM_SIZE, hop=_HUM_SIZE // 4)) ** 2
    lasting = np.percentile(powers, 20, axis=0)
    standing = {mains: _standing_out(lasting, mains) for mains in (50, 60)}
    mains, heights = max(standing.items(), key=lambda item: float(item[1][:_TELLING].sum()))
    if (heights[:_TELLING] > _HUM_DB).sum() < 2 or heights[:_TELLING].sum() < _HUM_SUM_DB:
        return ()
    return tuple(mains * (index + 1) for index in np.flatnonzero(heights > _HUM_DB).tolist())


def _standing_out(powers: npt.NDArray[np.floating], mains: int) -> npt.NDArray[np.float64]:
    heights = []
    for harmonic in range(1, _HARMONICS + 1):
        at = round(mains * harmonic * _HUM_SIZE / RATE)
        around = float(np.median(powers[max(1, at - 14) : at + 15])) + 1e-12
        heights.append(max(0.0, 10 * np.log10(float(powers[at - 1 : at + 2].max() + 1e-12) / around)))
    return np.array(heights)


def without(samples: Samples, rate: int, tones: Sequence[int]) -> Samples:
    """The samples without what is within 3 Hz of these tones (Hz): voiced speech passes through them, a hum stays."""
    kept = []
    margin, length = rate, 30 * rate
    for start in range(0, samples.size, length):
        before = min(margin, start)
        piece = samples[start - before : start + length + margin]
        spectrum = stft(piece, size=_NOTCH_SIZE, hop=_NOTCH_SIZE // 4)
        frequencies = np.fft.rfftfreq(_NOTCH_SIZE, 1 / rate)
        for tone in tones:
            spectrum[:, np.abs(frequencies - tone) < _NOTCH_HZ] = 0
        cleaned = istft(spectrum, hop=_NOTCH_SIZE // 4, length=piece.size)
        kept.append(cleaned[before : before + length])
    return np.concatenate(kept)[: samples.size]
