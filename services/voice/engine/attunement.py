"""Moving a mix of stock voices towards a person by a few steps of gradient, within seconds.

The 128 numbers of the timbre are moved so that the speaker encoder hears the person, under changing simulated
microphones. Neither words nor an alignment are needed: the sentences are ours, and only likeness is asked for.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from . import sessions, timbres
from .assets import Assets
from .errors import Cancelled
from .gradient import GradientDecoder
from .kokoro import TIMBRE, Kokoro, Score
from .port import CancelCheck
from .seam import AFFINES, ENERGY, FEATURES, PITCH, SOURCE
from .studio.fitting import CROP, Adam, channel, heard_through
from .studio.listener import Listener, windows

Floats = npt.NDArray[np.float32]

ATTUNED: Final = (
    "The noisy machine enjoyed a rare lie, while five boxing wizards watched my father's dog jump.",
    "Thirty blue ships would usually measure the outer edge of this vague beach; you know how good those were.",
)
"""What a mix says to be moved towards the reference, and compared with it: every phoneme of English, 5 s each."""
STEPS: Final = 8
RATE: Final = 0.06
_LAST: Final = 0.2
_PLACES: Final = (0.12, 0.5, 0.85)
"""Where in a sentence a step listens, as a share of what is left: its beginning, middle and end by turns."""


class Attunement:
    """Attunes timbres for one engine, one at a time. The gradient's graphs are built at the first call (1 s)."""

    def __init__(self, assets: Assets, model: Kokoro, *, threads: int) -> None:
        self._assets, self._model, self._threads = assets, model, threads

    def timbre(self, style: Floats, scores: Sequence[Score], mel: Floats, *, cancelled: CancelCheck) -> Floats:
        """(128,) what to add to the timbre of the style (256,), or (128,) of it.

        `scores` are sentences in that style at the person's pitch; `mel` is `speaker.mel` of the person's speech.
        Deterministic on one machine. Raises Cancelled.
        """
        # The encoder's steps are too small to be shared between threads, which would only wait for each other.
        with threadpool_limits(limits=1, user_api="blas"):
            return self._fitted(style, scores, mel, cancelled)

    def _fitted(self, style: Floats, scores: Sequence[Score], mel: Floats, cancelled: CancelCheck) -> Floats:
        random = np.random.default_rng(0)
        start, layers = style[:TIMBRE], self._model.affines
        target = heard_through(self._listener, windows(mel))
        harmonics = [sessions.run(self._source, {PITCH: score.pitch}, [SOURCE])[0] for score in scores]
        optimiser = Adam({"timbre": start}, lambda name: RATE)
        for step in range(STEPS):
            if cancelled():
                raise Cancelled()
            index = step % len(scores)
            feeds = _crop(scores[index], harmonics[index], _PLACES[step // len(scores) % len(_PLACES)])
            affines = optimiser.values["timbre"] @ layers.matrix + layers.offset
            feeds[AFFINES] = np.asarray(affines, np.float32)
            passed = self._decoder.forth(feeds)
            _, flow = self._listener.measure(passed.wave, target, channel(random))
            flows = self._decoder.back(passed, flow, feeds)
            share = 1 - (1 - _LAST) * step / (STEPS - 1)
            optimiser.step({"timbre": layers.matrix @ flows[AFFINES]}, share)
        return np.asarray(optimiser.values["timbre"] - start, np.float32)

    @cached_property
    def _decoder(self) -> GradientDecoder:
        weights = timbres.stored_weights(self._assets.decoder)
        return GradientDecoder(weights, self._model.affines.norms, threads=self._threads)

    @cached_property
    def _listener(self) -> Listener:
        return Listener(self._assets.speaker)

    @cached_property
    def _source(self) -> sessions.Session:
        return sessions.open_session(self._assets.source, threads=1)


def _crop(score: Score, harmonics: Floats, place: float) -> dict[str, Floats]:
    frames = score.features.shape[2]
    length = min(CROP, frames)
    start = int(place * (frames - length))
    end = start + length
    return {
        FEATURES: score.features[:, :, start:end],
        PITCH: score.pitch.reshape(-1)[2 * start : 2 * end],
        ENERGY: score.energy.reshape(-1)[2 * start : 2 * end],
        SOURCE: harmonics[:, :, 120 * start : 120 * end + 1],
    }
