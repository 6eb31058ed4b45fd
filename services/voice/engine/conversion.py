"""Speech to speech: what somebody said, said in another voice with their timing and their intonation.

The recording is written down, the model's features are laid along it by dynamic time warping, its pitch contour is
moved to the voice's range, and the decoder says it with the recording's energy. Accent stays the model's, as the
features are; breaths and laughter are not words, and are lost.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from . import audio, level, seams, text
from .errors import Cancelled, RecogniserMissing, RefinementUnavailable, Silent, TranscriptUnclear
from .kokoro import RATE, Kokoro, Pack, Score
from .phonemes import Phonemes
from .pitch import Pitch, summary
from .port import CancelCheck, Progress, Samples
from .studio.preparation import EnergyLine, align
from .studio.transcription import LONGEST_S, Spoken, stretches, written

_SHORTEST_S: Final = 0.3
_WIDEST_PAUSE_S: Final = 1.0
"""Longer pauses part stretches, since the model makes none in a sentence that could be laid along them."""
_LONGEST_UNRECOGNISED_S: Final = 25.0
"""What the model can say in one go, where nobody can tell which of the words lie in which stretch."""
_LOUDER: Final = 4.0
"""Stretches keep their loudness relative to the whole within this factor, 12 dB."""


@dataclass(frozen=True)
class Line:
    """A stretch of the recording, to be said again."""

    start: int
    """In samples at RATE."""
    score: Score
    """As the recording says it, at its own pitch."""
    gain: float
    """How loud it is in the recording, relative to the whole."""


@dataclass(frozen=True)
class Performance:
    """A recording as it is to be said again."""

    lines: Sequence[Line]
    pitch: Pitch | None
    """Of the whole recording; None when hardly anything is voiced."""
    length: int
    """In samples at RATE."""

    def parts(self, sound: Callable[[Score], Samples], target: Pitch) -> Iterator[Samples]:
        """The sound of each line at the pitch of the target, with the pause before it, and the pause at the end."""
        at = 0
        for line in self.lines:
            score = line.score if self.pitch is None else line.score.at_pitch(target, self.pitch)
            said = level.limited((sound(score) * np.float32(line.gain)).astype(np.float32))
            said = seams.faded(said[: max(0, self.length - line.start)], RATE)
            yield np.concatenate([np.zeros(line.start - at, np.float32), said])
            at = line.start + said.size
        if at < self.length:
            yield np.zeros(self.length - at, np.float32)


def heard(
    recording: bytes,
    transcript: str,
    *,
    model: Kokoro,
    phonemes: Phonemes,
    pack: Pack,
    maximum_seconds: float,
    progress: Progress,
    cancelled: CancelCheck,
) -> Performance:
    """What is said in the recording, and how. Raises as `port.Engine.convert`."""
    progress("listening", 0)
    given = text.check_text(transcript) if transcript.strip() else ""
    samples = audio.decode(recording, sample_rate=RATE, maximum_seconds=maximum_seconds).samples
    spoken = _spoken(samples, given, progress, cancelled)
    overall = level.active_rms(np.concatenate([each.samples for each in spoken]))
    loudness = EnergyLine()
    lines = []
    for index, each in enumerate(spoken):
        if cancelled():
            raise Cancelled()
        progress("aligning", 40 + 60 * index // len(spoken))
        made = align(each, model=model, phonemes=phonemes, pack=pack, line=loudness)
        if made is None:
            raise _unclear("does not go with its words", each)
        gain = np.clip(level.active_rms(each.samples) / max(overall, 1e-6), 1 / _LOUDER, _LOUDER)
        lines.append(Line(each.start, made.score, float(gain)))
    hertz = np.concatenate([line.score.pitch.reshape(-1) for line in lines])
    return Performance(lines, summary(hertz[hertz > 0]), samples.size)


def _spoken(samples: Samples, transcript: str, progress: Progress, cancelled: CancelCheck) -> list[Spoken]:
    """The stretches with words in them; what is heard without words, such as a breath, is left to be a pause."""
    found = stretches(samples, cancelled, longest=LONGEST_S, shortest=_SHORTEST_S, widest=_WIDEST_PAUSE_S)
    if not found:
        raise Silent("nobody speaks in this recording")
    try:
        lines = written(
            found,
            transcript,
            cancelled=cancelled,
            progress=lambda share: progress("recognising", 5 + int(35 * share)),
        )
    except RefinementUnavailable as missing:
        whole = stretches(samples, cancelled, longest=_LONGEST_UNRECOGNISED_S, shortest=_SHORTEST_S)
        if not transcript or len(whole) != 1:
            raise RecogniserMissing(str(missing)) from missing
        return [Spoken(piece, transcript, start) for start, piece in whole]
    for each in lines:
        if each.text and not each.sure:
            raise _unclear("could not be made out with certainty", each)
    worded = [each for each in lines if each.text]
    if not worded:
        raise Silent("no word is spoken in this recording")
    return worded


def _unclear(why: str, each: Spoken) -> TranscriptUnclear:
    start, end = each.start / RATE, (each.start + each.samples.size) / RATE
    return TranscriptUnclear(
        f"what is said from {start:.1f} to {end:.1f} s {why}: speak more clearly, or send what is said word for word",
        start_seconds=f"{start:.2f}",
        end_seconds=f"{end:.2f}",
    )
