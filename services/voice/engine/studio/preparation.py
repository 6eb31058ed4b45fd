"""From a stretch of a recording and its words to what the decoder would need to say it just so.

Fitting learns from it (`prepare`); a conversion says it again in another voice (`align`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class Aligned:
    """A stretch of a recording laid along its words."""

    score: Score
    """As the recording says it: its timing, its pitch (0 Hz where unvoiced), its energy."""
    recorded: Samples
    """(600 x frames,) the stretch, as loud as the model would say it."""
    natural: int
    """Frames that the model itself would take."""

    @property
    def frames(self) -> int:
        return int(self.score.features.shape[2])


def prepare(
    spoken: Sequence[Spoken],
    *,
    model: Kokoro,
    source: sessions.Session,
    phonemes: Phonemes,
    pack: Pack,
    cancelled: CancelCheck,
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[list[Utterance], float]:
    """The utterances that could be aligned, and how much faster the person speaks than the model (1: alike)."""
    found: list[Utterance] = []
    natural = actual = 0
    line = EnergyLine()
    for index, each in enumerate(spoken):
        if cancelled():
            raise Cancelled()
        progress(index / len(spoken))
        made = align(each, model=model, phonemes=phonemes, pack=pack, line=line)
        if made is not None and made.frames >= CROP:
            found.append(_utterance(made, model, source))
            natural += made.natural
            actual += made.frames
    return found, natural / actual if actual else 1.0


class EnergyLine:
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


def align(each: Spoken, *, model: Kokoro, phonemes: Phonemes, pack: Pack, line: EnergyLine) -> Aligned | None:
    """The stretch laid along its words; None where they are hardly what is said in it.

    The model says the words in the style of the pack, twice: as it would by itself, and along the first alignment.
    """
    tokens = phonemes.tokens(each.text)
    if not 1 <= len(tokens) <= len(pack):
        return None
    score = model.score(tokens, pack)
    natural = int(score.features.shape[2])
    count = each.samples.size // _FRAME
    if not _LEAST_PACE < natural / max(count, 1) < _MOST_PACE:
        return None
    level = float(np.sqrt(np.mean(each.samples.astype(np.float64) ** 2)))
    real = (each.samples * (10 ** (_LEVEL_DB / 20) / max(level, 1e-6))).astype(np.float32)[: count * _FRAME]
    said = model.sound(score)
    natural_energy = score.energy.reshape(-1)
    slope, offset = line.seen(energy(said), natural_energy)
    heard = cepstra(real)
    places, cost = warp(heard, cepstra(said))
    if cost > _MOST_COST:
        return None
    first = np.clip(np.round(places[: 2 * count : 2] / 2).astype(int), 0, natural - 1)
    loudness = energy(real)[: 2 * count]
    active = loudness > np.percentile(loudness, 95) - _LOUD
    wanted = natural_energy > np.percentile(natural_energy, 95) - _LOUD * slope
    # The recording is made as loud as the model would say it.
    gain = (natural_energy[wanted].mean() - offset) / slope - loudness[active].mean()
    curve = np.maximum(slope * (loudness + gain) + offset, natural_energy.min()).astype(np.float32)
    once = replace(
        score,
        features=score.features[:, :, first],
        pitch=_pitch(real, 2 * count).reshape((*score.pitch.shape[:-1], -1)),
        energy=curve.reshape((*score.energy.shape[:-1], -1)),
    )
    again, _ = warp(heard, cepstra(model.sound(once)))
    second = first[np.clip(np.round(again[: 2 * count : 2] / 2).astype(int), 0, count - 1)]
    return Aligned(
        replace(once, features=score.features[:, :, second]), (real * np.exp(gain / 2)).astype(np.float32), natural
    )


def _utterance(made: Aligned, model: Kokoro, source: sessions.Session) -> Utterance:
    (harmonics,) = sessions.run(source, {PITCH: made.score.pitch}, [SOURCE])
    return Utterance(
        features=made.score.features[0],
        pitch=made.score.pitch.reshape(-1),
        energy=made.score.energy.reshape(-1),
        source=np.asarray(harmonics[0], np.float32),
        recorded=made.recorded,
        spoken=model.sound(made.score)[: made.recorded.size],
    )


def _pitch(samples: Samples, count: int) -> Floats:
    """(count,) Hz every 12.5 ms, 0 where unvoiced."""
    low = np.asarray(soxr.resample(samples, RATE, pitch.RATE), np.float32)
    times, hertz = pitch.track(low)
    at = np.arange(count) * HOP / RATE
    nearest = np.clip(np.searchsorted(times, at), 1, max(len(times) - 1, 1))
    nearest -= (at - times[nearest - 1]) < (times[nearest] - at)
    return np.where(hertz[nearest] > 0, hertz[nearest], 0).astype(np.float32)
