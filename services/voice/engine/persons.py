"""Whether one person speaks in the recordings, by the speaker encoder."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
"""(n, 256) of length 1, of 1.6 s of speech every 0.8 s, in the order of speaking."""

Flags = npt.NDArray[np.bool_]
"""(n,) one for each of these."""

_FEWEST, _MANY = 6, 12
_FEW_LIMIT, _LIMIT = 0.70, 0.78
"""No one of eleven speakers, clean, noisy, in rooms and on the phone, came below (0 of 616 stretches of 5 to 30 s); of
two together, half or a quarter by the other, 100 % did when clean, 99 % in noise, 97 % in rooms, 61 % by phone."""
_ALIKE_LIMIT, _UNLIKE_LIMIT = 0.60, 0.52
_FEW_ALIKE_LIMIT, _FEW_UNLIKE_LIMIT = 0.54, 0.48
"""The same person comes to 0.63 and more through another room or noise, to 0.60 and more over a telephone; from 5 s of
speech to 0.56 and 0.51."""
_ROUNDS: Final = 20


@dataclass(frozen=True)
class Voices:
    """The speech parted in two, as far apart as it will go."""

    likeness: float
    """Cosine between the parts, -1 to 1: what one person's come to is above 0.8."""
    other: Flags
    """Which stretches are of the smaller part."""

    @property
    def known(self) -> bool:
        """Whether there was enough speech to tell."""
        return self.other.size >= _FEWEST

    @property
    def several(self) -> bool:
        """Whether the parts are two persons'."""
        return self.known and self.likeness < (_LIMIT if self.other.size >= _MANY else _FEW_LIMIT)


def parted(vectors: Vectors) -> Voices:
    """Two-means on the sphere, begun at the first principal component."""
    centred = vectors - vectors.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    other = centred @ axes[0] > 0
    for _ in range(_ROUNDS):
        if other.all() or not other.any():
            break
        moved = vectors @ _centre(vectors[other]) > vectors @ _centre(vectors[~other])
        if (moved == other).all():
            break
        other = moved
    if other.all() or not other.any():
        return Voices(1.0, np.zeros(len(vectors), bool))
    likeness = float(_centre(vectors[other]) @ _centre(vectors[~other]))
    return Voices(likeness, other if other.mean() <= 0.5 else ~other)


def apart(one: Vectors, other: Vectors, *, same_band: bool) -> bool:
    """Whether two recordings are by different persons. Another microphone sounds like another person, a telephone more
    so: only what is beyond that counts, and little speech does not."""
    fewest = min(len(one), len(other))
    if fewest < _FEWEST:
        return False
    if fewest < _MANY:
        return likeness(one, other) < (_FEW_ALIKE_LIMIT if same_band else _FEW_UNLIKE_LIMIT)
    return likeness(one, other) < (_ALIKE_LIMIT if same_band else _UNLIKE_LIMIT)


def likeness(one: Vectors, other: Vectors) -> float:
    """Cosine between two recordings' means."""
    return float(_centre(one) @ _centre(other))


def _centre(vectors: Vectors) -> npt.NDArray[np.float32]:
    mean = vectors.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)
