"""The fast tier: hibari, a small model of one voice, brought to a person's pitch and spectral envelope.

The model predicts, for each frame of 12.5 ms, a filter for a train of pulses and the noise beside it (after the
harmonic-plus-noise model, Stylianou 2001), so that another pitch is set by other pulses, and the vocal tract made
longer or shorter by bending the filter's frequency axis (VTLN; Lee and Rose 1996). No vocoder takes speech apart and
puts it together again.
"""

import threading
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]
from hibari import dsp  # type: ignore[import-untyped]

from . import equaliser, level, sessions
from .artefact import FastShape
from .kokoro import VOICED_HZ, at_pitch
from .pitch import Pitch
from .port import CancelCheck, Samples, never
from .speaker import SpeakerEncoder

RATE: Final = 24000
WARPS: Final = (0.85, 0.9, 0.95, 1.0, 1.06)
"""Factors by which formants may be moved; beyond them speech turns unnatural."""
_OUTPUTS: Final = ["lh", "theta", "ln", "lr", "phi", "f0"]
_LOW_RATE: Final = 16000
_HIGHEST_HARMONIC_HZ: Final = 11500.0


class Fast:
    """Loaded once, when it is first needed; safe to use from several threads. About 30 MB."""

    def __init__(self, model: Path, *, threads: int) -> None:
        self._model, self._threads = model, threads
        self._opening = threading.Lock()
        self._opened: sessions.Session | None = None

    @property
    def _session(self) -> sessions.Session:
        with self._opening:
            if self._opened is None:
                self._opened = sessions.open_session(self._model, threads=self._threads)
            return self._opened

    def fit(
        self,
        tokens: list[int],
        pitch: Pitch,
        envelope: equaliser.Envelope,
        embedding: npt.NDArray[np.float32],
        *,
        bandwidth_hz: float,
        encoder: SpeakerEncoder,
        cancelled: CancelCheck = never,
    ) -> FastShape:
        """What brings the model's voice nearest to a person, by the cosine of the encoder over all WARPS.

        `tokens` are what it is tried on; `envelope` and `embedding` (256,) are the person's. Raises Cancelled.
        """
        found: list[tuple[float, FastShape]] = []
        for warp in WARPS:
            sample = self._plain(tokens, pitch, warp, speed=1.0, cancelled=cancelled)
            shape = equaliser.difference(equaliser.envelope(sample), envelope, bandwidth_hz=bandwidth_hz)
            shaped = equaliser.apply(sample, shape)
            low = np.asarray(soxr.resample(shaped, RATE, _LOW_RATE), np.float32)
            likeness = float(encoder.embed(low) @ embedding)
            found.append((likeness, FastShape(shape, level.gain_to_target(shaped), warp)))
        return max(found, key=lambda each: each[0])[1]

    def say(
        self,
        tokens: list[int],
        pitch: Pitch,
        shape: FastShape,
        *,
        speed: float = 1.0,
        cancelled: CancelCheck = never,
    ) -> Samples:
        """The waveform of at most 400 tokens, mono at RATE Hz, at the target loudness. Raises Cancelled."""
        plain = self._plain(tokens, pitch, shape.warp, speed=speed, cancelled=cancelled)
        return np.asarray(equaliser.apply(plain, shape.equaliser) * np.float32(shape.gain), np.float32)

    def _plain(self, tokens: list[int], pitch: Pitch, warp: float, *, speed: float, cancelled: CancelCheck) -> Samples:
        feeds: dict[str, npt.NDArray[Any]] = {
            "ids": np.array([[0, *tokens, 0]], np.int64),
            "speed": np.array([speed], np.float32),
        }
        harmonic, phase, noise, rest, angle, hertz = (
            output[0] for output in sessions.run(self._session, feeds, _OUTPUTS, cancelled=cancelled)
        )
        harmonic = _between_harmonics(harmonic, hertz)
        bent = [_warped(each, warp) for each in (harmonic, phase, noise, rest)]
        # The same noise each time, so that the same text is the same speech.
        waveform = dsp.synth(*bent, angle, at_pitch(hertz, pitch), np.random.default_rng(0))
        return np.asarray(waveform, np.float32)


def _between_harmonics(filters: npt.NDArray[np.float32], hertz: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(bins, frames) log gains, those between the harmonics of the model's own pitch drawn from one to the next:
    nothing has ever been heard through them there, and at another pitch it would be."""
    bins = np.arange(len(filters))
    drawn = filters.copy()
    for frame in np.nonzero(hertz > VOICED_HZ)[0]:
        step = hertz[frame] * dsp.N_FFT / RATE
        harmonics = np.arange(1, int(_HIGHEST_HARMONIC_HZ / hertz[frame]) + 1) * step
        drawn[:, frame] = np.interp(bins, harmonics, np.interp(harmonics, bins, filters[:, frame]))
    return drawn


def _warped(spectrum: npt.NDArray[np.float32], warp: float) -> npt.NDArray[np.float32]:
    """(bins, frames) with everything at `warp` times its frequency."""
    if warp == 1.0:
        return spectrum
    last = len(spectrum) - 1
    source = np.minimum(np.arange(last + 1) / warp, last)
    below = np.minimum(source.astype(np.int64), last - 1)
    share = (source - below)[:, None].astype(np.float32)
    bent: npt.NDArray[np.float32] = spectrum[below] * (1 - share) + spectrum[below + 1] * share
    return bent
