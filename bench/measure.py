"""Everything that the benchmark measures, each in a process of its own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from services.voice.engine import KokoroEngine, assets
from services.voice.evaluation import solo, speed

from . import operators

MOST_THREADS: Final = 16
ENROLMENT_SECONDS: Final = 30
SAMPLE: Final = Path("examples/sample/robin.flac")


def thread_counts(cores: int) -> list[int]:
    """1, 2, 4 ... up to the cores that there are, and those themselves; at most MOST_THREADS."""
    most = min(cores, MOST_THREADS)
    return sorted({*(1 << power for power in range(most.bit_length()) if 1 << power <= most), most})


def measure(folder: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Raises SoloFailed, AssetUnavailable, AssetCorrupt."""
    models = assets.prepare()
    tell("fetching the unmodified model, if it is not there yet")
    original = speed.original_model(folder)
    cores = os.cpu_count() or 1
    counts = thread_counts(cores)
    result: dict[str, Any] = {"cores": cores, "load_before": os.getloadavg()[0], "model_hash": models.model_hash}
    recording = SAMPLE.read_bytes()
    artefact = KokoroEngine(models, threads=min(2, cores)).enrol([recording]).artefact
    result["speaking"] = {}
    for threads in counts:
        tell(f"speaking on {threads} of {cores} cores, in turns with the unmodified model")
        result["speaking"][str(threads)] = solo.speaking(original, {"instant": artefact}, threads=threads)["instant"]
    result["int8_rtf_1"] = result["speaking"]["1"]["int8_rtf"]
    tell("several streams at a time")
    raw = {
        str(threads): {str(streams): solo.streaming(artefact, threads=threads, streams=streams) for streams in counts}
        for threads in counts
    }
    result["streams"] = {
        threads: {streams: value / raw["1"]["1"] for streams, value in of.items()} for threads, of in raw.items()
    }
    tell("learning and memory")
    long = speed.lengthened(recording, ENROLMENT_SECONDS)
    result["enrolment_of_recording"] = min(solo.enrolling([long, long], threads=2)) / ENROLMENT_SECONDS
    result["memory_ratio"] = solo.remembering(None, artefact, threads=2) / solo.remembering(original, b"", threads=2)
    tell("profiling")
    result["operators"] = operators.shares(models, threads=1)
    return result
