"""One recording as it is heard: its speech, and what is wrong with it."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr  # type: ignore[import-untyped]

from . import acoustics, audio, denoising, speech
from .port import CancelCheck, Samples

RATE: Final = 24000
LOW_RATE: Final = speech.RATE
_JUDGED_S: Final = 60.0
_LEAD_S: Final = 1.0
_OFFSET: Final = 0.02


@dataclass(frozen=True)
class Take:
    """A stretch of speech."""

    recording: int
    samples: Samples
    """At RATE Hz."""
    clipped: float
    """Share of them at full scale."""

    @property
    def seconds(self) -> float:
        return self.samples.size / RATE


@dataclass(frozen=True)
class Heard:
    """What there is in one recording."""

    index: int
    file: audio.Recording
    takes: tuple[Take, ...]
    snr_db: float
    """0 to 60."""
    steady_db: float
    """All of it above its quietest twentieth, 0 to 60: low only where something never stops."""
    decay_seconds: float | None
    tonality: float | None
    hum_hz: tuple[int, ...]
    """Harmonics of the mains that were taken out."""
    offset: float
    """The constant part that was taken out, of full scale."""
    noise: denoising.Noise
    """At RATE Hz, of the pauses."""
    bandwidth_hz: int
    level: float
    """Root mean square of the speech."""
    peak: float
    """99.9th percentile of the speech's magnitude."""

    @property
    def seconds(self) -> float:
        """Of speech."""
        return sum(take.seconds for take in self.takes)


def hear(file: audio.Recording, index: int, *, cancelled: CancelCheck) -> Heard:
    """Takes out what is not sound and not speech (a constant, the mains), finds the speech and measures.

    Room and music are judged by the minute in which speech begins. Raises Cancelled.
    """
    offset = float(np.mean(file.samples))
    if abs(offset) < _OFFSET:
        offset = 0.0
    samples = file.samples - np.float32(offset)
    low = _lowered(samples)
    hum = acoustics.hum_hertz(low[: int(_JUDGED_S * LOW_RATE)])
    if hum:
        samples = acoustics.without(samples, RATE, hum)
        low = _lowered(samples)
    found = speech.segments(low, cancelled=cancelled)
    takes = []
    for segment in found:
        stretch = segment.of(samples, RATE)
        # What was at full scale no longer is once a hum is gone.
        original = segment.of(file.samples, RATE)
        takes.append(Take(index, stretch, float(np.mean(np.abs(original) >= audio.FULL_SCALE))))
    spoken = np.concatenate([take.samples for take in takes]) if takes else np.zeros(1, np.float32)
    start = max(0.0, found[0].start - _LEAD_S) if found else 0.0
    judged = [
        speech.Segment(segment.start - start, segment.end - start)
        for segment in found
        if segment.start < start + _JUDGED_S
    ]
    piece = low[int(start * LOW_RATE) : int((start + _JUDGED_S) * LOW_RATE)]
    return Heard(
        index=index,
        file=file,
        takes=tuple(takes),
        snr_db=speech.snr(low, found),
        steady_db=speech.snr(low, [speech.Segment(0.0, low.size / LOW_RATE)]),
        decay_seconds=acoustics.decay_seconds(piece) if takes else None,
        tonality=acoustics.tonality(piece, judged) if takes else None,
        hum_hz=hum,
        offset=offset,
        noise=denoising.profile(samples[int(start * RATE) : int((start + _JUDGED_S) * RATE)], judged, RATE),
        bandwidth_hz=min(speech.bandwidth(spoken[: int(_JUDGED_S * RATE)], RATE), file.sample_rate // 2),
        level=float(np.sqrt(np.mean(spoken**2))),
        peak=float(np.percentile(np.abs(spoken), 99.9)),
    )


def _lowered(samples: Samples) -> Samples:
    return np.asarray(soxr.resample(samples, RATE, LOW_RATE), np.float32)
