"""Fitting the decoder's numbers to one person, by gradient.

What is fitted: the 128 numbers of the timbre, which move all normalisations together as the model knows voices;
on top of them each scale and shift by itself; and, at the high setting, low-rank differences of the convolutions.
What for: log-mel distance to the recordings, and likeness in the speaker encoder under changing simulated
channels, so that the microphone is not what is learnt.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ..assets import Affines
from ..errors import Cancelled
from ..gradient import GradientDecoder
from ..port import CancelCheck, Samples
from ..seam import AFFINES, ENERGY, FEATURES, PITCH, SOURCE
from .listener import Listener
from .losses import MelDistance

Floats = npt.NDArray[np.float32]

CROP: Final = 64
"""Frames of 25 ms that one step hears."""
_FRAME: Final = 600
_RATES: Final = {"timbre": 0.012, "affines": 3e-3, "down": 1.5e-3, "up": 1.5e-3}
"""Step sizes of Adam, for each kind of number."""
_BETAS, _TINY = (0.8, 0.98), 1e-8
_CLIP: Final = 2.0
_WARM, _LAST = 6, 0.05
_CHANNEL_DB: Final = 6.0
_CHANNELS: Final = 6
_BANDS: Final = 40


@dataclass(frozen=True)
class Utterance:
    """A stretch of the recordings as the model would say it, frame by frame."""

    features: Floats
    """(512, frames)"""
    pitch: Floats
    """(2 x frames,) of the recording, in Hz; 0 where unvoiced."""
    energy: Floats
    """(2 x frames,)"""
    source: Floats
    """(22, 120 x frames + 1)"""
    recorded: Samples
    """(600 x frames,)"""
    spoken: Samples
    """The same by the voice before it is fitted."""

    @property
    def frames(self) -> int:
        return int(self.features.shape[1])


@dataclass(frozen=True)
class Fit:
    """What came of it."""

    affines: Floats
    """(37396,)"""
    differences: Mapping[str, Floats]
    """Low-rank factors by name; none unless asked for."""
    steps: int


class Adam:
    """The optimiser (Kingma and Ba 2015) over named arrays."""

    def __init__(self, values: Mapping[str, Floats], rates: Callable[[str], float]) -> None:
        self.values = {name: value.copy() for name, value in values.items()}
        self._first = {name: np.zeros_like(value) for name, value in values.items()}
        self._second = {name: np.zeros_like(value) for name, value in values.items()}
        self._rates, self._count = rates, 0

    def step(self, gradients: Mapping[str, Floats], share: float) -> None:
        """Moves all values against their gradients, whose joint length is bounded first."""
        length = float(np.sqrt(sum(float((flow.astype(np.float64) ** 2).sum()) for flow in gradients.values())))
        bound = min(1.0, _CLIP / (length + 1e-6))
        self._count += 1
        first_bias, second_bias = (1 - beta**self._count for beta in _BETAS)
        for name, flow in gradients.items():
            bounded = flow * np.float32(bound)
            first, second = self._first[name], self._second[name]
            first += (1 - _BETAS[0]) * (bounded - first)
            second += (1 - _BETAS[1]) * (bounded**2 - second)
            rate = np.float32(self._rates(name) * share / first_bias)
            self.values[name] -= rate * first / (np.sqrt(second / np.float32(second_bias)) + _TINY)


class Fitting:
    """One person's fit. Deterministic for a seed on one machine."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        *,
        style: Floats,
        layers: Affines,
        decoder: GradientDecoder,
        listener: Listener,
        likeness: Sequence[Floats],
        bandwidth_hz: float,
        seed: int = 0,
    ) -> None:
        """`style` (128,) to begin with; `likeness` mel windows (160, 40) of the person for the speaker encoder."""
        self._utterances, self._layers, self._decoder, self._listener = utterances, layers, decoder, listener
        self._random = np.random.default_rng(seed)
        self._distance = MelDistance(
            [each.recorded for each in utterances], [each.spoken for each in utterances], bandwidth_hz=bandwidth_hz
        )
        self._target = heard_through(listener, likeness)
        values = {"timbre": style, "affines": np.zeros_like(layers.offset)}
        for name, size in decoder.sizes.items():
            # One factor starts at random and the other at nothing, so that the difference is nothing at first.
            random = self._random.normal(0, 1 / np.sqrt(np.prod(size[1:])), size)
            values[name] = np.asarray(random if name.endswith(":down") else np.zeros(size), np.float32)
        self._optimiser = Adam(values, _rate)
        lengths = np.array([max(0, each.frames - CROP + 1) for each in utterances], np.float64)
        self._shares = lengths / lengths.sum()

    def run(
        self,
        steps: int,
        *,
        check: Callable[[Fit], bool],
        every: int,
        progress: Callable[[float], None],
        cancelled: CancelCheck,
    ) -> None:
        """Makes up to so many steps; `check` sees the state every so many, and ends the run by saying False.

        Raises Cancelled.
        """
        for step in range(steps):
            if cancelled():
                raise Cancelled()
            share = min(1, (step + 1) / _WARM) * ((1 - _LAST) * (0.5 + 0.5 * np.cos(np.pi * step / steps)) + _LAST)
            self._step(float(share))
            progress((step + 1) / steps)
            if (step + 1) % every == 0 and not check(self.state(step + 1)):
                return

    def state(self, steps: int) -> Fit:
        """The fit as it is."""
        values = self._optimiser.values
        return Fit(self._affines(), {name: values[name].copy() for name in self._decoder.differences}, steps)

    def _affines(self) -> Floats:
        values = self._optimiser.values
        return np.asarray(values["timbre"] @ self._layers.matrix + self._layers.offset + values["affines"], np.float32)

    def _step(self, share: float) -> None:
        utterance = self._utterances[int(self._random.choice(len(self._utterances), p=self._shares))]
        start = int(self._random.integers(0, utterance.frames - CROP + 1))
        feeds = crop(utterance, start, CROP)
        feeds[AFFINES] = self._affines()
        feeds |= {name: self._optimiser.values[name] for name in self._decoder.differences}
        passed = self._decoder.forth(feeds)
        piece = slice(start * _FRAME, (start + CROP) * _FRAME)
        target = self._distance.target(utterance.recorded[piece], utterance.spoken[piece])
        _, flow = self._distance.measure(passed.wave, target)
        _, likeness = self._listener.measure(passed.wave, self._target, self._channel())
        gradients = self._decoder.back(passed, flow + likeness, feeds)
        gradients["timbre"] = self._layers.matrix @ gradients[AFFINES]
        self._optimiser.step(gradients, share)

    def _channel(self) -> Floats:
        """(40,) power gains of the bands: a smooth random curve of up to 6 dB."""
        return channel(self._random)


def heard_through(listener: Listener, windows: Sequence[Floats]) -> Floats:
    """(256,) of length 1: the person's mel windows (160, 40) as heard through several simulated microphones."""
    random = np.random.default_rng(1)
    total = np.zeros(256)
    for gains in [np.ones(_BANDS, np.float32), *(channel(random) for _ in range(_CHANNELS - 1))]:
        mean = np.mean([listener.embed(window * gains) for window in windows], axis=0)
        total += mean / np.linalg.norm(mean)
    return np.asarray(total / np.linalg.norm(total), np.float32)


def channel(random: np.random.Generator) -> Floats:
    """(40,) power gains of a simulated microphone: a random walk over eight corners, at most 6 dB."""
    corners = np.cumsum(random.normal(0, 1, 8))
    corners -= corners.mean()
    corners *= random.uniform(0, _CHANNEL_DB) / np.abs(corners).max()
    return np.asarray(10 ** (np.interp(np.linspace(0, 7, _BANDS), np.arange(8), corners) / 10), np.float32)


def crop(utterance: Utterance, start: int, frames: int) -> dict[str, Floats]:
    """What the decoder needs for a part of an utterance."""
    return {
        FEATURES: utterance.features[None, :, start : start + frames],
        PITCH: utterance.pitch[2 * start : 2 * (start + frames)],
        ENERGY: utterance.energy[2 * start : 2 * (start + frames)],
        SOURCE: utterance.source[None, :, 120 * start : 120 * (start + frames) + 1],
    }


def _rate(name: str) -> float:
    return _RATES[name.rsplit(":", 1)[-1]]
