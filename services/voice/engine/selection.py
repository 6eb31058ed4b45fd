"""Which stock voices are nearest to a reference, and in what shares to mix them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from . import equaliser, stock
from .pitch import Pitch
from .speaker import SpeakerEncoder

MIXED: Final = 5
COMPARED: Final = 3
_TEMPERATURE: Final = 0.03
_FREE_SEMITONES, _PENALTY = 3.0, 0.01


@dataclass(frozen=True)
class Choice:
    """A mix, and the single voices that it should beat."""

    stock: tuple[str, ...]
    weights: npt.NDArray[np.float32]
    single: tuple[str, ...]
    """The three stock voices most like the reference as they are."""


def choose(
    embedding: npt.NDArray[np.float32],
    envelope: equaliser.Envelope,
    pitch: Pitch,
    *,
    bandwidth_hz: float,
    encoder: SpeakerEncoder,
) -> Choice:
    """The five nearest, by cosine to the reference once both sound alike in envelope, since the envelope will be
    equalised anyway; a voice more than 3 semitones off is put back, for its timbre belongs to another register.

    Shares fall off as exp(difference / 0.03).
    """
    voices = stock.voices()
    raw = np.array([voice.embedding @ embedding for voice in voices])
    equalised = np.array(
        [
            encoder.embed_mel(
                voice.equalised_mel(equaliser.difference(voice.envelope, envelope, bandwidth_hz=bandwidth_hz))
            )
            @ embedding
            for voice in voices
        ]
    )
    away = np.array([abs(voice.pitch - pitch.median) for voice in voices])
    handicap = _PENALTY * np.maximum(away - _FREE_SEMITONES, 0)
    scores = equalised - handicap
    nearest = np.argsort(-scores)[:MIXED]
    shares = np.exp((scores[nearest] - scores[nearest[0]]) / _TEMPERATURE)
    single = np.argsort(-(raw - handicap))[:COMPARED]
    return Choice(
        stock=tuple(voices[i].name for i in nearest),
        weights=np.asarray(shares / shares.sum(), np.float32),
        single=tuple(voices[i].name for i in single),
    )
