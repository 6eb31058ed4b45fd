"""Keeps the speech of one person, where somebody else can be heard for a while in the recordings too."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import soxr  # type: ignore[import-untyped]

from . import findings, persons
from .errors import TwoSpeakers
from .recordings import LOW_RATE, RATE, Heard, Take
from .speaker import STEP_S, WINDOW_S, SpeakerEncoder

_STRAY_SHARE: Final = 0.25
_SCRAP_S: Final = 0.5
_ADVICE: Final = "send recordings in which only the person speaks whose voice is to be learned"


@dataclass(frozen=True)
class Company:
    """What is left of the speech when others are left out."""

    takes: list[Take]
    likeness: float | None
    """Of the two parts of it that differ most, -1 to 1; None where there is too little to tell."""
    strayed: dict[int, float]
    """Seconds left out of a recording, since another person speaks there."""
    strangers: frozenset[int]
    """The recordings left out as a whole."""


def alone(takes: Sequence[Take], heard: Sequence[Heard], encoder: SpeakerEncoder) -> Company:
    """The takes without the strays: others who speak for at most a quarter of a recording, or of all recordings.

    Raises TwoSpeakers where others speak for more.
    """
    kept: dict[int, list[Take]] = {}
    vectors: dict[int, persons.Vectors] = {}
    strayed: dict[int, float] = {}
    likenesses = []
    for index in dict.fromkeys(take.recording for take in takes):
        own = [take for take in takes if take.recording == index]
        spoken = np.concatenate([take.samples for take in own])
        found = encoder.embed_windows(np.asarray(soxr.resample(spoken, RATE, LOW_RATE), np.float32))
        voices = persons.parted(found)
        if voices.several:
            if voices.other.mean() > _STRAY_SHARE:
                raise TwoSpeakers(f"two people speak: {_ADVICE}", likeness=f"{voices.likeness:.2f}").about(
                    index, len(heard)
                )
            own = _without(own, voices.other)
            strayed[index] = (spoken.size - sum(take.samples.size for take in own)) / RATE
            found = found[~voices.other]
            voices = persons.parted(found)
        if voices.known:
            likenesses.append(voices.likeness)
        kept[index], vectors[index] = own, found
    strangers = frozenset(_strangers(vectors, heard))
    for index in sorted(strangers):
        strayed[index] = strayed.get(index, 0.0) + sum(take.seconds for take in kept.pop(index))
    return Company(
        [take for own in kept.values() for take in own],
        round(min(likenesses), 3) if likenesses else None,
        strayed,
        strangers,
    )


def _strangers(vectors: dict[int, persons.Vectors], heard: Sequence[Heard]) -> list[int]:
    """The recordings by somebody else than the one with the most speech."""
    main = max(vectors, key=lambda index: len(vectors[index]))

    def narrow(index: int) -> bool:
        return heard[index].bandwidth_hz < findings.NARROW_HZ

    others = [
        index
        for index in vectors
        if persons.apart(vectors[main], vectors[index], same_band=narrow(main) == narrow(index))
    ]
    share = sum(len(vectors[index]) for index in others) / sum(map(len, vectors.values()))
    if share > _STRAY_SHARE:
        named = ", ".join(str(index + 1) for index in others)
        raise TwoSpeakers(
            f"another person than in recording {main + 1} speaks in recording {named}: {_ADVICE}",
            recording=str(others[0]),
        )
    return others


def _without(takes: Sequence[Take], other: persons.Flags) -> list[Take]:
    """The takes without the windows of the speaker encoder that are another person's."""
    spoken = np.ones(sum(take.samples.size for take in takes), bool)
    for window in np.nonzero(other)[0]:
        start = int(window * STEP_S * RATE)
        spoken[start : start + int(WINDOW_S * RATE)] = False
    kept, at = [], 0
    for take in takes:
        mine = spoken[at : at + take.samples.size]
        at += take.samples.size
        edges = np.flatnonzero(np.diff(np.concatenate(([False], mine, [False])).astype(np.int8)))
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            if end - start >= _SCRAP_S * RATE:
                kept.append(replace(take, samples=take.samples[start:end]))
    return kept
