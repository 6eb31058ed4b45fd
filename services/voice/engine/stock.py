"""What the stock voices sound like, measured once (`survey.py`) and shipped, so that learning a voice need not
synthesise all 28 of them."""

import io
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np
import numpy.typing as npt

from . import equaliser, speaker
from .spectrum import mel_centres

FILE: Final = "stock.npz"
_QUIETEST, _STEP = -14.0, 0.085
"""The mel powers are kept as log power in 256 steps of 0.37 dB."""
_CENTRES: Final = mel_centres(bands=speaker.BANDS, low=0.0, high=speaker.RATE / 2)


@dataclass(frozen=True)
class StockVoice:
    """One stock voice reading the survey's sentences."""

    name: str
    pitch: float
    """Median, in semitones above 1 Hz."""
    envelope: equaliser.Envelope
    embedding: npt.NDArray[np.float32]
    """(256,) GE2E."""
    mel: npt.NDArray[np.uint8]
    """(frames, 40) what `speaker.mel` gave, logarithmic, coarse."""

    def equalised_mel(self, gain: equaliser.Envelope) -> npt.NDArray[np.float32]:
        """(frames, 40) as `speaker.mel` would give after `equaliser.apply`, loudness kept; no synthesis needed."""
        powers = powers_of(self.mel)
        shaped = powers * np.exp(np.interp(_CENTRES, equaliser.CENTRES, gain))
        return np.asarray(shaped * (powers.sum() / shaped.sum()), np.float32)


@lru_cache(maxsize=1)
def voices() -> tuple[StockVoice, ...]:
    """The survey's results, in the order of `sources.STOCK_VOICES`."""
    data = resources.files(__package__).joinpath(FILE).read_bytes()
    with np.load(io.BytesIO(data), allow_pickle=False) as table:
        names, pitches, envelopes = table["names"], table["pitches"], table["envelopes"]
        embeddings, mels, frames = table["embeddings"], table["mels"], table["frames"]
    starts = np.concatenate([[0], np.cumsum(frames)])
    return tuple(
        StockVoice(str(name), float(pitches[i]), envelopes[i], embeddings[i], mels[starts[i] : starts[i + 1]])
        for i, name in enumerate(names)
    )


def packed(voices: list[StockVoice]) -> bytes:
    """The bytes of FILE for these voices."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        names=np.array([voice.name for voice in voices]),
        pitches=np.array([voice.pitch for voice in voices], np.float32),
        envelopes=np.stack([voice.envelope for voice in voices]),
        embeddings=np.stack([voice.embedding for voice in voices]),
        mels=np.concatenate([voice.mel for voice in voices]),
        frames=np.array([len(voice.mel) for voice in voices], np.int32),
    )
    return buffer.getvalue()


def steps_of(powers: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """Mel powers in the coarse steps that are kept."""
    logs = np.log(np.maximum(powers, np.exp(_QUIETEST)))
    return np.clip(np.round((logs - _QUIETEST) / _STEP), 0, 255).astype(np.uint8)


def powers_of(steps: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The inverse of `steps_of`, within 0.2 dB."""
    return np.asarray(np.exp(steps.astype(np.float32) * _STEP + _QUIETEST), np.float32)
