"""How far a waveform is from a target, and in which direction it should move.

A multi-resolution log-mel distance (Yamamoto et al. 2020, on mel bands), with the gradient to the waveform written
out, so that no framework is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ..port import Samples
from ..spectrum import hann, mel_bank, mel_centres

RATE: Final = 24000
RESOLUTIONS: Final = ((512, 128, 40), (1024, 256, 64), (2048, 512, 100))
"""(size, hop, bands) of each."""
_LOW_HZ, _HIGH_HZ = 40.0, 12000.0
_FLOOR: Final = 3e-4
"""Of a band's mean power: what lies below is noise, and not to be learnt."""
_ACTIVE: Final = 1e-3
_QUIET: Final = 1e-3
"""Of the loud frames' power: what lies below is a pause."""

Mel = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frames:
    """Spectra of a waveform, and what their gradient needs."""

    spectrum: npt.NDArray[np.complex64]
    size: int
    hop: int
    length: int

    @property
    def power(self) -> Mel:
        """(frames, size / 2 + 1)"""
        return np.asarray((self.spectrum.real**2 + self.spectrum.imag**2) / self.size, np.float32)

    def back(self, flow: Mel) -> Samples:
        """(length,) gradient to the waveform, from the gradient to `power`."""
        weighted = self.spectrum * flow
        weighted[:, [0, -1]] *= 2
        frames = np.fft.irfft(weighted, n=self.size, axis=1).astype(np.float32) * hann(self.size)
        total = np.zeros(self.length, np.float32)
        for index, frame in enumerate(frames):
            start = index * self.hop
            total[start : start + self.size] += frame
        return total


def frames(samples: Samples, *, size: int, hop: int) -> Frames:
    """Spectra of whole frames within the samples (at least `size`)."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]
    spectrum = np.fft.rfft(windows * hann(size), axis=1).astype(np.complex64)
    return Frames(spectrum, size, hop, samples.size)


@lru_cache(maxsize=8)
def _bank(size: int, bands: int) -> Mel:
    return mel_bank(rate=RATE, size=size, bands=bands, low=_LOW_HZ, high=_HIGH_HZ)


def _mel(samples: Samples, size: int, hop: int, bands: int) -> Mel:
    mel: Mel = frames(samples, size=size, hop=hop).power @ _bank(size, bands).T
    return mel


class MelDistance:
    """The distance to recordings of one person, whose bands it has been shown."""

    def __init__(self, recorded: Sequence[Samples], spoken: Sequence[Samples], *, bandwidth_hz: float) -> None:
        """`recorded` speech, and the same as the voice speaks it before it is fitted, which stands in for what
        lies above the recordings' bandwidth."""
        self._floors: list[Mel] = []
        self._above: list[npt.NDArray[np.bool_]] = []
        self._quiet: list[float] = []
        for size, hop, bands in RESOLUTIONS:
            heard, made = (
                np.concatenate([_active(_mel(samples, size, hop, bands)) for samples in group])
                for group in (recorded, spoken)
            )
            above = mel_centres(bands=bands, low=_LOW_HZ, high=_HIGH_HZ) > bandwidth_hz * 0.94
            floor = np.where(above, made.mean(axis=0), heard.mean(axis=0)) * _FLOOR + 1e-9
            self._floors.append(floor.astype(np.float32))
            self._above.append(above)
            self._quiet.append(float(heard.sum(axis=1).mean()) * _QUIET)

    def target(self, recorded: Samples, spoken: Samples) -> list[Mel]:
        """What a waveform of the same length should come to, at each resolution; in pauses no louder than `spoken`,
        so that the room is not learnt."""
        targets = []
        for (size, hop, bands), floor, above, quiet in zip(
            RESOLUTIONS, self._floors, self._above, self._quiet, strict=True
        ):
            heard, made = (_mel(samples, size, hop, bands) for samples in (recorded, spoken))
            pause = (heard.sum(axis=1) < quiet)[:, None]
            heard = np.where(pause, np.minimum(heard, made), heard)
            targets.append(np.log(np.where(above, made, heard) + floor).astype(np.float32))
        return targets

    def measure(self, samples: Samples, target: list[Mel]) -> tuple[float, Samples]:
        """The mean distance in nepers of power, and its gradient to the samples (same length)."""
        total, flow = 0.0, np.zeros_like(samples)
        for (size, hop, bands), floor, wanted in zip(RESOLUTIONS, self._floors, target, strict=True):
            seen = frames(samples, size=size, hop=hop)
            bank = _bank(size, bands)
            floored = seen.power @ bank.T + floor
            off = np.log(floored) - wanted
            total += float(np.abs(off).mean())
            share: npt.NDArray[Any] = np.sign(off) / (off.size * floored)
            flow += seen.back((share @ bank).astype(np.float32))
        return total / len(RESOLUTIONS), np.asarray(flow / len(RESOLUTIONS), np.float32)


def _active(mel: Mel) -> Mel:
    totals = mel.sum(axis=1)
    return np.asarray(mel[totals > np.percentile(totals, 95) * _ACTIVE], np.float32)
