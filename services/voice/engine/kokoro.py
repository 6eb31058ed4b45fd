"""Kokoro-82M (a StyleTTS 2; Li et al. 2023) in two halves, with the pitch set in Hz between them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from . import sessions
from .assets import Assets
from .pitch import Pitch, summary
from .port import CancelCheck, Samples, never
from .seam import AFFINES, DURATIONS, ENERGY, FEATURES, PITCH

RATE: Final = 24000
TIMBRE: Final = 128
"""A style is 256 numbers: the first 128 are timbre (decoder), the rest prosody (encoder)."""
STYLE_ROWS: Final = slice(60, 140)
"""Rows of a pack are for texts of so many phonemes; these stand for all."""
VOICED_HZ: Final = 30.0
_LEAST_SPREAD, _MOST_SPREAD = 0.7, 1.25

Pack = npt.NDArray[np.float32]
"""(510, 256): a style for every length, row n for n + 1 tokens."""


@dataclass(frozen=True)
class Score:
    """What the encoder made of a text: everything about how it will be said, before any sound."""

    features: npt.NDArray[np.float32]
    pitch: npt.NDArray[np.float32]
    energy: npt.NDArray[np.float32]
    durations: npt.NDArray[np.int64]
    """(tokens,) in frames of 25 ms."""
    style: npt.NDArray[np.float32]

    def natural_pitch(self) -> Pitch | None:
        """The pitch the model itself would speak at."""
        return summary(self.pitch[self.pitch > VOICED_HZ])

    def at_pitch(self, target: Pitch, natural: Pitch | None = None) -> "Score":
        """The same melody moved to another median, its movements widened or narrowed within bounds.

        `natural` is what is moved to the target; of this score alone if it is not given.
        """
        return replace(self, pitch=at_pitch(self.pitch, target, natural))


def at_pitch(hertz: npt.NDArray[np.float32], target: Pitch, natural: Pitch | None = None) -> npt.NDArray[np.float32]:
    """A melody in Hz, of any shape, moved as by `Score.at_pitch`."""
    voiced = hertz > VOICED_HZ
    natural = natural or summary(hertz[voiced])
    if natural is None:
        return hertz
    widened = float(np.clip(target.spread / max(natural.spread, 1e-3), _LEAST_SPREAD, _MOST_SPREAD))
    semitones = 12 * np.log2(np.maximum(hertz, VOICED_HZ))
    moved = 2 ** ((target.median + (semitones - natural.median) * widened) / 12)
    return np.where(voiced, moved, hertz).astype(np.float32)


@dataclass(frozen=True)
class Timbre:
    """What a fitted voice puts in the place of the decoder's own numbers."""

    affines: npt.NDArray[np.float32]
    """(37396,)"""
    convolutions: Mapping[str, npt.NDArray[Any]]
    """Weights of the convolutions that are its own, by the names of their layers."""


class Kokoro:
    """Both halves loaded once, one session for all voices; safe to use from several threads. About 700 MB."""

    def __init__(self, assets: Assets, *, threads: int) -> None:
        self._encoder = sessions.open_session(assets.encoder, threads=threads)
        self._decoder = sessions.open_session(assets.decoder, threads=threads)
        self.affines = assets.affines()

    def score(self, tokens: list[int], pack: Pack, *, speed: float = 1.0, cancelled: CancelCheck = never) -> Score:
        """How the tokens (at least 1, at most 510) will be said in this style. Raises Cancelled."""
        style = np.asarray(pack[min(len(tokens), len(pack)) - 1], np.float32)[None]
        feeds: dict[str, npt.NDArray[Any]] = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": style,
            "speed": np.array([speed], np.float32),
        }
        features, pitch, energy, durations = sessions.run(
            self._encoder, feeds, [FEATURES, PITCH, ENERGY, DURATIONS], cancelled=cancelled
        )
        return Score(features, pitch, energy, durations, style)

    def timbre(self, style: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """(37396,) affines of a style (256,)."""
        made: npt.NDArray[np.float32] = style[:TIMBRE] @ self.affines.matrix + self.affines.offset
        return made

    def sound(self, score: Score, timbre: Timbre | None = None, *, cancelled: CancelCheck = never) -> Samples:
        """The waveform, mono at RATE Hz, in the timbre of the score's style or another. Raises Cancelled."""
        affines = self.timbre(score.style[0]) if timbre is None else timbre.affines
        feeds = {FEATURES: score.features, PITCH: score.pitch, ENERGY: score.energy, AFFINES: affines}
        if timbre is not None:
            feeds |= timbre.convolutions
        (waveform,) = sessions.run(self._decoder, feeds, cancelled=cancelled)
        return np.asarray(waveform, np.float32).ravel()
