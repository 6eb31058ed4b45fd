"""All that is known of one speaker: the voices learnt, how they are heard, how they speak. One unit of work."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from services.voice.engine.errors import EngineError
from services.voice.engine.port import Samples

from . import delivery, hearing, naturalness
from .cache import Cache, Kept, code_digest
from .flattening import Spectrum, digest
from .folder import Speaker
from .measures import word_errors
from .sentences import SENTENCES
from .variants import chosen
from .voices import FAR, STOCK, Learner, Reading, lowered


class Transcriber(Protocol):
    """A speech recogniser."""

    def text(self, samples: Samples) -> str:
        """Of mono speech at 16 kHz."""
        ...

    def sounds(self, text: str) -> int:
        """How many sounds the text has."""
        ...


@dataclass(frozen=True)
class Request:
    """What is wanted of every speaker."""

    levels: tuple[str, ...]
    far: tuple[str, ...]
    """The levels that are also learnt through another channel."""
    ablation: str
    """See `variants.chosen`: names, since edits cannot be sent to another process."""
    spectrum: Spectrum
    """That flattened speech is moved to."""
    seed: int
    """The first of the seeds."""


@dataclass
class Gathered:
    """What came of one speaker; without the audio, which is in the cache."""

    name: str
    readings: dict[str, Reading] = field(default_factory=dict)
    voices: dict[str, hearing.Voice] = field(default_factory=dict)
    manners: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How each voice speaks; that of the person under `person`."""
    failure: str = ""
    """Why there is no voice at all."""


def gather(
    each: Speaker,
    index: int,
    request: Request,
    *,
    learner: Learner,
    ears: hearing.Ears,
    transcriber: Transcriber,
    cache: Cache,
) -> Gathered:
    """Learns what is not kept yet, and listens to it. `index` is the speaker's place in the folder."""
    made = Gathered(each.name)
    code = listening_code()
    key = {"speaker": each.digest, "code": code}
    made.manners["person"] = cache.of("manner", {**key, "level": "person"}, lambda: _person(each, transcriber)).values
    far = hearing.far_seed(request.seed, index)
    try:
        readings: list[Reading | None] = [learner.read(each, level) for level in (STOCK, *request.levels)]
        readings += [learner.read(each, f"{level}{FAR}", far=far) for level in request.far]
        readings += [learner.vary(each, variant) for variant in chosen(request.ablation, request.levels)]
    except EngineError as error:
        made.failure = f"{error.reason}: {error}"
        return made
    for reading in readings:
        if reading is None:
            continue
        key = {"voice": _digest(reading), "code": code}
        listen = partial(hearing.voice, reading.low(), ears, request.spectrum)
        heard = cache.of("heard", {**key, "target": digest(request.spectrum)}, listen)
        made.voices[reading.level] = hearing.heard(heard)
        made.manners[reading.level] = cache.of("manner", key, partial(_manner, reading, transcriber)).values
        made.readings[reading.level] = replace(reading, sentences=(), paused=np.zeros(0, np.float32))
    return made


_LISTENING: Final = (
    "channels", "delivery", "flattening", "gathering", "hearing", "lossy", "measures", "naturalness", "recognition",
    "sentences", "similarity",
)  # fmt: skip


def listening_code() -> str:
    """Digest of the code that listens, which is not the code that learns."""
    return code_digest(*(Path(__file__).with_name(f"{name}.py") for name in _LISTENING))


def _digest(reading: Reading) -> str:
    joined = np.concatenate([*reading.sentences, reading.paused])
    return hashlib.sha256(joined.tobytes()).hexdigest()


def _person(each: Speaker, transcriber: Transcriber) -> Kept:
    said = transcriber.sounds(transcriber.text(each.held))
    return Kept(
        {
            "pitch": delivery.pitches(each.held),
            "pace": delivery.pace(each.held, said),
            "pause_db": delivery.pause_level([each.held]),
            "naturalness": naturalness.opinion(each.held),
        }
    )


def _manner(reading: Reading, transcriber: Transcriber) -> Kept:
    low = reading.low()
    whole = np.concatenate(low)
    errors = [word_errors(text, transcriber.text(samples)) for text, samples in zip(SENTENCES, low, strict=True)]
    return Kept(
        {
            "wrong": sum(wrong for wrong, _ in errors),
            "words": sum(words for _, words in errors),
            "pitch": delivery.pitches(whole),
            "pace": delivery.pace(whole, sum(transcriber.sounds(text) for text in SENTENCES)),
            "pause_db": delivery.pause_level([*low, lowered(reading.paused, reading.rate)]),
            "naturalness": naturalness.opinion(whole),
        }
    )


def levels_of(gathered: Sequence[Gathered]) -> list[str]:
    """Every level and variant that some speaker has, in the order of work."""
    found: Mapping[str, None] = {level: None for each in gathered for level in each.readings}
    return list(found)
