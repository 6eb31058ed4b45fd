"""Measures speech-to-speech: recordings of one speaker, said in the instant voice of another.

    python -m services.voice.evaluation.conversion FOLDER [--pairs 1688:367,533:2033] [--utterances 3]

Prints a table for docs/engine.md. The words are judged against what the recogniser hears in the source, so its own
mistakes do not count; likeness by both encoders is to held-out speech of the target and of the source through
simulated channels.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from services.voice.engine import KokoroEngine, assets, audio, pitch
from services.voice.engine.errors import TranscriptUnclear
from services.voice.engine.port import Samples, whole

from .cache import Cache
from .folder import ENROLMENT_FILES, EXTENSIONS, speakers
from .gathering import listening_code
from .hearing import HEADLINE, Encoders, Heard, People, crowd
from .lossy import RATE as LOW_RATE
from .measures import likeness, word_errors
from .recognition import Recogniser
from .sentences import SENTENCES
from .voices import lowered

_STEP_S: Final = 0.01


@dataclass(frozen=True)
class Converted:
    """One pair of speakers."""

    source: str
    target: str
    to_target: tuple[float, float]
    """Likeness by GE2E and by the independent encoder."""
    to_source: tuple[float, float]
    spoken: tuple[float, float]
    """Of the target's voice when it speaks a text, to the target."""
    melody: float
    """Correlation of the pitch contours, in semitones, where both are voiced."""
    seconds_off: float
    """The most that a conversion is longer or shorter than its recording."""
    wrong: int
    words: int
    refused: int


def contour(samples: Samples, seconds: float) -> npt.NDArray[np.float64]:
    """(frames,) semitones every 10 ms of audio at LOW_RATE Hz, not a number where unvoiced."""
    times, hertz = pitch.track(samples)
    at = np.arange(0, seconds, _STEP_S)
    nearest = np.clip(np.searchsorted(times, at), 0, len(times) - 1)
    voiced = hertz[nearest] > 0
    return np.where(voiced, 12 * np.log2(np.maximum(hertz[nearest], 1)), np.nan)


def melody(one: Samples, other: Samples) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The frames of both contours where both are voiced."""
    seconds = min(one.size, other.size) / LOW_RATE
    first, second = contour(one, seconds), contour(other, seconds)
    both = ~np.isnan(first) & ~np.isnan(second)
    return first[both], second[both]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="services.voice.evaluation.conversion", description="Measure :convert.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", default="", help="source:target,… (default: each speaker to the next)")
    parser.add_argument("--utterances", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = {each.name: each for each in speakers(arguments.folder)}
    names = list(found)
    pairs = [tuple(pair.split(":")) for pair in arguments.pairs.split(",") if pair] or list(
        zip(names, names[1:] + names[:1], strict=True)
    )
    engine, ears, recogniser = KokoroEngine(assets.load()), Encoders(assets.load().speaker), Recogniser()
    cache = Cache(Path("build") / "eval")
    crowds = crowd(list(found.values()), ears, seed=arguments.seed, far=0, cache=cache, code=listening_code())
    known = crowds[HEADLINE]
    rows = []
    for source, target in pairs:
        artefact = engine.enrol(found[target].enrolment).artefact
        folder = sorted(path for path in (arguments.folder / source).iterdir() if path.suffix.lower() in EXTENSIONS)
        made, heard, refused, wrong, words, off = [], [], 0, 0, 0, 0.0
        for file in folder[ENROLMENT_FILES : ENROLMENT_FILES + arguments.utterances]:
            data = file.read_bytes()
            recording = audio.decode(data, sample_rate=LOW_RATE).samples
            try:
                converted = lowered(whole(engine.convert(artefact, data)), engine.sample_rate)
            except TranscriptUnclear as unclear:
                print(f"{file.name}: {unclear}", flush=True)
                refused += 1
                continue
            errors, count = word_errors(recogniser.text(recording), recogniser.text(converted))
            wrong, words = wrong + errors, words + count
            off = max(off, abs(converted.size - recording.size) / LOW_RATE)
            made.append(converted)
            heard.append(recording)
        joined = ears.hear(np.concatenate(made))
        texts = [whole(engine.speak(artefact, sentence)) for sentence in SENTENCES[:4]]
        spoken = ears.hear(np.concatenate([lowered(text, engine.sample_rate) for text in texts]))
        contours = [melody(one, other) for one, other in zip(heard, made, strict=True)]
        ours, theirs = (np.concatenate([pair[k] - np.median(pair[k]) for pair in contours]) for k in (1, 0))
        rows.append(
            Converted(
                source,
                target,
                to_target=_likeness(joined, known, target),
                to_source=_likeness(joined, known, source),
                spoken=_likeness(spoken, known, target),
                melody=float(np.corrcoef(ours, theirs)[0, 1]),
                seconds_off=off,
                wrong=wrong,
                words=words,
                refused=refused,
            )
        )
        print(rows[-1], flush=True)


def _likeness(heard: Heard, known: People, name: str) -> tuple[float, float]:
    fitting, independent = (likeness(vector, of[name]) for vector, of in zip(heard, known, strict=True))
    return fitting, independent


if __name__ == "__main__":
    main()
