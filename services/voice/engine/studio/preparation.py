"""From a stretch of a recording and its words to what the decoder would need to say it just so."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from .. import pitch, sessions
from ..errors import Cancelled
from ..kokoro import Kokoro, Pack, Score
from ..phonemes import Phonemes
from ..port import CancelCheck, Samples
from ..seam import PITCH, SOURCE
from .alignment import HOP, RATE, cepstra, energy, warp
from .fitting import CROP, Utterance
from .transcription import Spoken

Floats = npt.NDArray[np.float32]

_FRAME: Final = 2 * HOP
_LEVEL_DB: Final = -23.0
_LOUD: Final = 5.0
_MOST_COST: Final = 5.1
"""Mean distance of aligned frames, above which the words are hardly those of the recording: measured on LibriSpeech,
the right words come to 4.1 to 5.0, another sentence's to 5.0 to 5.6."""
_MOST_PACE, _LEAST_PACE = 1.8, 0.45


def prepare(
    spoken: Sequence[Spoken],
    *,
    model: Kokoro,
    source: sessions.Session,
    phonemes: Phonemes,
    pack: Pack,
    cancelled: CancelCheck,
) -> tuple[list[Utterance], float]:
    """The utterances that could be aligned, and how much faster the person speaks than the model (1: alike)."""
    found: list[Utterance] = []
    natural = actual = 0
    line = _EnergyLine()
    for each in spoken:
        if cancelled():
            raise Cancelled()
        tokens = phonemes.tokens(each.text)
        if not 1 <= len(tokens) <= len(pack):
            continue
        score = model.score(tokens, pack)
        made = _aligned(each.samples, score, model, source, line)
        if made is not None:
            found.append(made)
            natural += score.features.shape[2]
            actual += made.frames
    return found, natural / actual if actual else 1.0


class _EnergyLine:
    """The model's energy as a line of the loudness that `alignment.energy` measures, fitted as it is used."""

    def __init__(self) -> None:
        self._loudness: list[Floats] = []
        self._energy: list[Floats] = []

    def seen(self, loudness: Floats, energy: Floats) -> tuple[float, float]:
        """(slope, offset) over all seen so far."""
        count = min(loudness.size, energy.size)
        self._loudness.append(loudness[:count])
        self._energy.append(energy[:count])
        slope, offset = np.polyfit(np.concatenate(self._loudness), np.concatenate(self._energy), 1)
        return float(slope), float(offset)


def _aligned(
    recorded: Samples, score: Score, model: Kokoro, source: sessions.Session, line: _EnergyLine
) -> Utterance | None:
    level = float(np.sqrt(np.mean(recorded.astype(np.float64) ** 2)))
    real = (recorded * (10 ** (_LEVEL_DB / 20) / max(level, 1e-6))).astype(np.float32)
    said = model.sound(score)
    natural_energy = score.energy.reshape(-1)
    slope, offset = line.seen(energy(said), natural_energy)
    count = real.size // _FRAME
    real = real[: count * _FRAME]
    pace = score.features.shape[2] / max(count, 1)
    if count < CROP or not _LEAST_PACE < pace < _MOST_PACE:
        return None
    heard = cepstra(real)
    places, cost = warp(heard, cepstra(said))
    if cost > _MOST_COST:
        return None
    last = score.features.shape[2] - 1
    first = np.clip(np.round(places[: 2 * count : 2] / 2).astype(int), 0, last)
    hertz = _pitch(real, 2 * count)
    loudness = energy(real)[: 2 * count]
    active = loudness > np.percentile(loudness, 95) - _LOUD
    wanted = natural_energy > np.percentile(natural_energy, 95) - _LOUD * slope
    # The recording is made as loud as the model would say it.
    gain = (natural_energy[wanted].mean() - offset) / slope - loudness[active].mean()
    real = (real * np.exp(gain / 2)).astype(np.float32)
    curve = np.maximum(slope * (loudness + gain) + offset, natural_energy.min()).astype(np.float32)
    features = score.features[0]
    once = _sound(model, score, features[:, first], hertz, curve)
    again, _ = warp(heard, cepstra(once))
    second = first[np.clip(np.round(again[: 2 * count : 2] / 2).astype(int), 0, count - 1)]
    (harmonics,) = sessions.run(source, {PITCH: hertz.reshape((*score.pitch.shape[:-1], -1))}, [SOURCE])
    final = features[:, second]
    return Utterance(
        features=final,
        pitch=hertz,
        energy=curve,
        source=np.asarray(harmonics[0], np.float32),
        recorded=real,
        spoken=_sound(model, score, final, hertz, curve)[: count * _FRAME],
    )


def _sound(model: Kokoro, score: Score, features: Floats, hertz: Floats, curve: Floats) -> Samples:
    shaped = Score(
        features[None],
        hertz.reshape((*score.pitch.shape[:-1], -1)),
        curve.reshape((*score.energy.shape[:-1], -1)),
        score.durations,
        score.style,
    )
    return model.sound(shaped)


def _pitch(samples: Samples, count: int) -> Floats:
    """(count,) Hz every 12.5 ms, 0 where unvoiced."""
    low = np.asarray(soxr.resample(samples, RATE, pitch.RATE), np.float32)
    times, hertz = pitch.track(low)
    at = np.arange(count) * HOP / RATE
    nearest = np.clip(np.searchsorted(times, at), 1, max(len(times) - 1, 1))
    nearest -= (at - times[nearest - 1]) < (times[nearest] - at)
    return np.where(hertz[nearest] > 0, hertz[nearest], 0).astype(np.float32)
