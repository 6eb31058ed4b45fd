"""The figures that need a stop-watch: speed, first audio, learning, memory; measured when all else is done."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from services.voice.engine import encode
from services.voice.engine.port import Samples

from . import solo, speed
from .folder import Speaker
from .lossy import RATE

THREADS: Final = (1, 2)
ENROLMENT_THREADS: Final = 2


def measure(found: Sequence[Speaker], artefacts: Mapping[str, bytes], *, folder: Path) -> dict[str, Any]:
    """Of the levels whose artefacts are given. Raises SoloFailed, AssetUnavailable, AssetCorrupt."""
    original = speed.original_model(folder)
    busy = os.getloadavg()[0]
    speaking = {threads: solo.speaking(original, artefacts, threads=threads) for threads in THREADS}
    learning = solo.enrolling([_recording(each.enrolled()) for each in found], threads=ENROLMENT_THREADS)
    return {
        "load_before": busy,
        "levels": {
            level: {
                f"{name}_{threads}": value for threads in THREADS for name, value in speaking[threads][level].items()
            }
            for level in artefacts
        },
        "enrol_seconds": float(np.mean(learning)),
        "enrol_seconds_most": max(learning),
        "memory_mb": {
            "int8": solo.remembering(original, b"", threads=2),
            **{level: solo.remembering(None, artefact, threads=2) for level, artefact in artefacts.items()},
        },
    }


def _recording(samples: Samples) -> bytes:
    return encode([samples], "wav", source_rate=RATE)
