"""What holds sentences together: clean edges, and pauses of natural length."""

from enum import Enum
from typing import Final

import numpy as np

from .port import Samples

_FRAME: Final = 240
_AUDIBLE: Final = 10 ** (-45 / 20)
_LEAD_S, _TAIL_S = 0.03, 0.08
_FADE_IN_S, _FADE_OUT_S = 0.005, 0.03


class Pause(Enum):
    """Silence after a piece of speech, in seconds at normal speed."""

    NONE = 0.0
    CLAUSE = 0.12
    SENTENCE = 0.32
    PARAGRAPH = 0.6
    END = 0.1


def trimmed(samples: Samples, rate: int) -> Samples:
    """The speech without the silence around it, its ends faded so that no step can click."""
    start, end = edges(samples, rate)
    return faded(samples[start:end], rate)


def faded(samples: Samples, rate: int) -> Samples:
    """Speech whose ends are faded so that no step can click."""
    kept = samples.copy()
    fade_in, fade_out = (min(int(seconds * rate), kept.size) for seconds in (_FADE_IN_S, _FADE_OUT_S))
    kept[:fade_in] *= np.linspace(0, 1, fade_in, dtype=np.float32)
    kept[kept.size - fade_out :] *= np.linspace(1, 0, fade_out, dtype=np.float32)
    return kept


def edges(samples: Samples, rate: int) -> tuple[int, int]:
    """Between which samples the speech lies, a little silence before and after it included."""
    count = samples.size // _FRAME
    if not count:
        return 0, samples.size
    levels = np.sqrt(np.mean(samples[: count * _FRAME].reshape(count, _FRAME) ** 2, axis=1))
    audible = np.nonzero(levels > levels.max() * _AUDIBLE)[0]
    if not audible.size or not levels.max():
        return 0, 0
    start = max(0, audible[0] * _FRAME - int(_LEAD_S * rate))
    end = min(samples.size, (audible[-1] + 1) * _FRAME + int(_TAIL_S * rate))
    return int(start), int(end)


def silence(pause: Pause | float, *, rate: int, speed: float) -> Samples:
    """A pause: a natural one is shorter at higher speed, one of so many seconds lasts so long."""
    seconds = pause.value / speed if isinstance(pause, Pause) else pause
    return np.zeros(int(seconds * rate), np.float32)
