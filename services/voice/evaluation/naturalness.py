"""How natural speech sounds to people, predicted by DNSMOS P.835 (Reddy, Gopal and Cutler 2022).

It was trained on noisy and cleaned-up recordings, so that it hears noise and distortion, not prosody.
"""

import importlib.util
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from services.voice.engine import sessions
from services.voice.engine.port import Samples

from .similarity import EvaluationUnavailable

RATE: Final = 16000
_PACKAGE, _MODEL = "speechmos", "dnsmos_models/sig_bak_ovr.onnx"
_LENGTH: Final = int(9.01 * RATE)
_SCALES: Final = {
    "signal": (-0.08397278, 1.22083953, 0.0052439),
    "background": (-0.13166888, 1.60915514, -0.39604546),
    "overall": (-0.06766283, 1.11546468, 0.04602535),
}
"""From what the network gives to opinions on the scale of 1 to 5, as its authors calibrated it."""


def opinion(samples: Samples) -> dict[str, float]:
    """Mean opinions, 1 to 5, of the speech itself, of what is behind it and of all, for mono audio at RATE Hz.

    Raises EvaluationUnavailable.
    """
    repeated = np.tile(samples, -(-_LENGTH // max(1, samples.size))) if samples.size < _LENGTH else samples
    starts = range(0, repeated.size - _LENGTH + 1, RATE)
    raw = np.stack(
        [sessions.run(_session(), {"input_1": repeated[None, start : start + _LENGTH]})[0][0] for start in starts]
    )
    return {
        name: float(np.mean(np.polyval(scale, raw[:, column]))) for column, (name, scale) in enumerate(_SCALES.items())
    }


@lru_cache(maxsize=1)
def _session() -> Any:
    # Looked up, not imported: importing the package would import librosa, and only its weights are needed.
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise EvaluationUnavailable(f"{_PACKAGE} is not installed: make eval installs it")
    return sessions.open_session(Path(next(iter(found.submodule_search_locations))) / _MODEL, threads=1)
