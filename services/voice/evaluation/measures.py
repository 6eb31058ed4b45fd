"""The arithmetic of the evaluation: no audio, no models."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
"""(256,) of length 1."""

LOW_VOICE_HZ: Final = 165.0
"""Between the usual pitches of men and women: who speaks lower is compared with others who do."""


@dataclass(frozen=True)
class Person:
    """A speaker as one encoder hears them."""

    enrolled: Vector
    """The recordings that a voice is learnt from."""
    elsewhere: Sequence[Vector]
    """Other speech of theirs, in each of some channels."""
    pitch_hz: float
    pieces: Sequence[Vector] = ()
    """The recordings that a voice is learnt from, a few seconds each."""


def likeness(clone: Vector, person: Person) -> float:
    """Mean cosine to the person's other speech in other channels."""
    return float(np.mean([clone @ heard for heard in person.elsewhere]))


def strangers(name: str, people: Mapping[str, Person]) -> list[str]:
    """The others in the same range of pitch; all others where there is none."""
    low = people[name].pitch_hz < LOW_VOICE_HZ
    others = [other for other in people if other != name]
    return [other for other in others if (people[other].pitch_hz < LOW_VOICE_HZ) == low] or others


def normalised(clone: Vector, name: str, people: Mapping[str, Person]) -> float:
    """0: as like as a stranger of the same range; 1: as like as the person's own recordings. Not clamped."""
    person = people[name]
    floor = float(np.mean([likeness(people[other].enrolled, person) for other in strangers(name, people)]))
    ceiling = likeness(person.enrolled, person)
    return (likeness(clone, person) - floor) / (ceiling - floor)


def nearest(clones: Sequence[Vector], people: Sequence[Mapping[str, Person]]) -> str:
    """Whose voice it is taken for: the highest mean of the encoders' likenesses, one clone vector for each."""
    return max(
        people[0],
        key=lambda name: float(np.mean([likeness(clone, of[name]) for clone, of in zip(clones, people, strict=True)])),
    )


def threshold(people: Mapping[str, Person]) -> tuple[float, float]:
    """(equal error rate, threshold) of taking pieces of real speech for the person that they claim to be."""
    same = [likeness(piece, person) for person in people.values() for piece in person.pieces]
    different = [
        likeness(piece, person)
        for name, person in people.items()
        for other, stranger in people.items()
        if other != name
        for piece in stranger.pieces
    ]
    return equal_error(same, different)


def equal_error(same: Sequence[float], different: Sequence[float]) -> tuple[float, float]:
    """(rate, threshold) at which as many of the same person are refused as strangers are accepted."""
    thresholds = np.sort(np.concatenate([same, different]))
    accepted = np.array([np.mean(np.asarray(different) >= threshold) for threshold in thresholds])
    refused = np.array([np.mean(np.asarray(same) < threshold) for threshold in thresholds])
    best = int(np.argmin(np.abs(accepted - refused)))
    return float((accepted[best] + refused[best]) / 2), float(thresholds[best])


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """The 95 % interval of a rate (Wilson 1927)."""
    if not trials:
        return 0.0, 1.0
    z, rate = 1.96, successes / trials
    centre = (rate + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials**2)) / (1 + z * z / trials)
    return float(max(0.0, centre - half)), float(min(1.0, centre + half))


def bootstrap(
    groups: Sequence[Sequence[float]],
    *,
    seed: int,
    of: Callable[[npt.NDArray[np.float64]], float] = lambda values: float(values.mean()),
    rounds: int = 2000,
) -> tuple[float, float]:
    """The 95 % interval of a mean over groups (speakers) of values, both drawn anew (Efron 1979)."""
    random = np.random.default_rng(seed)
    drawn = []
    for _ in range(rounds):
        chosen = random.integers(0, len(groups), len(groups))
        drawn.append(of(np.concatenate([random.choice(groups[index], len(groups[index])) for index in chosen])))
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def words(text: str) -> list[str]:
    """Lower-case words without punctuation."""
    return re.sub(r"[^a-z0-9' ]", " ", text.lower()).split()


def word_errors(said: str, heard: str) -> tuple[int, int]:
    """(errors, words said), see `edits`."""
    expected = words(said)
    return edits(expected, words(heard)), len(expected)


def edits(expected: Sequence[str], found: Sequence[str]) -> int:
    """The fewest substitutions, insertions and deletions between two sequences (Levenshtein 1966)."""
    row = list(range(len(found) + 1))
    for i, one in enumerate(expected, 1):
        above, row[0] = row[0], i
        for j, other in enumerate(found, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (one != other))
    return row[-1]
