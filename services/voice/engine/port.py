"""The port behind which every cloning engine stands: learn a voice from recordings, speak in it.

Engines are synchronous and safe to call from several threads; callers move them off their event loop.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .report import Report

Samples: TypeAlias = npt.NDArray[np.float32]
"""Mono audio, shape (n,), float32 in [-1, 1]."""

Progress: TypeAlias = Callable[[str, int], None]
"""Told (stage, per cent of the whole work done, 0-100); the percentage never falls."""

CancelCheck: TypeAlias = Callable[[], bool]
"""Asked now and then, from any thread; True makes the engine stop with `errors.Cancelled`."""

DEFAULT_LANGUAGE = "en-US"
"""What a text is in that is said to be in no language."""
JAPANESE = "ja-JP"
MAXIMUM_CONVERSION_S = 60.0
MINIMUM_SPEED = 0.5
MAXIMUM_SPEED = 2.0


class Markup(StrEnum):
    """How a text is written."""

    PLAIN = "PLAIN"
    SSML = "SSML"
    """The subset of SSML 1.1 that docs/engine.md lists."""


class Level(StrEnum):
    """How deep the learning of a voice went."""

    INSTANT = "INSTANT"
    """Learnt in seconds; the model itself is unchanged."""
    STUDIO = "STUDIO"
    """Learnt in minutes: the decoder's own numbers are fitted to the person."""


class Depth(StrEnum):
    """How much of the decoder `Engine.refine` may fit."""

    STANDARD = "STANDARD"
    """The affines of its adaptive normalisations: 75 KB a voice, within 5 minutes on one core."""
    HIGH = "HIGH"
    """Its convolutions too, by low-rank differences: 4 MB a voice, and half as long again."""


class Refines(StrEnum):
    """Whether an engine, as it is installed, can be fitted to a person."""

    NEVER = "NEVER"
    GIVEN_WORDS = "GIVEN_WORDS"
    """Where it is told what is said in the recordings: it has no speech recognition."""
    ALWAYS = "ALWAYS"


class Tier(StrEnum):
    """How much is computed for each second of speech."""

    NATURAL = "NATURAL"
    """The engine's best; every engine has it."""
    FAST = "FAST"
    """Several times faster, and less like the person."""


@dataclass(frozen=True)
class Language:
    """A language that an engine knows."""

    tag: str
    """Of BCP 47 (RFC 5646); without a region it stands for all of them."""
    needs: str = ""
    """What must be installed before it is spoken; empty where it is spoken."""
    tiers: frozenset[Tier] = frozenset(Tier)
    """Of those that the engine has, at which it is spoken."""


@dataclass(frozen=True)
class Enrolment:
    """A voice that was learnt."""

    artefact: bytes
    """All that `Engine.speak` needs; self-describing, a few kilobytes, holds no recording."""
    report: Report


@dataclass(frozen=True)
class Word:
    """A stretch of the text, as it was given to the engine, and when it is heard."""

    start: int
    """Of the text, in characters."""
    end: int
    """The character after the last."""
    start_seconds: float
    """From the first sample of the chunk."""
    end_seconds: float

    def later(self, seconds: float) -> "Word":
        """The same, so much later."""
        return replace(self, start_seconds=self.start_seconds + seconds, end_seconds=self.end_seconds + seconds)

    def characters(self) -> "tuple[Word, ...]":
        """Its characters, by even division of its time: an estimate."""
        each = (self.end_seconds - self.start_seconds) / max(self.end - self.start, 1)
        return tuple(
            Word(self.start + n, self.start + n + 1, self.start_seconds + n * each, self.start_seconds + (n + 1) * each)
            for n in range(self.end - self.start)
        )


@dataclass(frozen=True)
class Chunk:
    """A piece of speech, its pause included."""

    samples: Samples
    words: tuple[Word, ...] = ()
    """In the order of speech; none where the engine does not know when a word is heard."""


def whole(chunks: Iterable[Chunk]) -> Samples:
    """All that is heard."""
    return np.concatenate([np.zeros(0, np.float32), *(chunk.samples for chunk in chunks)])


@dataclass(frozen=True)
class Refinement:
    """What came of fitting the engine to a person."""

    artefact: bytes
    """Of level STUDIO where the fit was better, else the artefact that was given."""
    better: bool
    """Whether the fitted voice is nearer to speech of the person that was kept out of the fitting."""
    score_before: float
    """Likeness to that speech, cosine of the speaker encoder, as the voice was."""
    score_after: float
    """The same, fitted."""
    steps: int
    """Steps of the optimiser until it stopped."""


def never() -> bool:
    """The cancel check of a caller that never cancels."""
    return False


def unheard(stage: str, percent: int) -> None:
    """The progress listener of a caller that does not listen."""


class Engine(Protocol):
    """Learns voices and speaks in them."""

    @property
    def name(self) -> str:
        """Stable name of the engine and its generation, such as `kokoro-v1`."""
        ...

    @property
    def model_hash(self) -> str:
        """SHA-256 (64 hex digits) of models and recipe; artefacts of another hash are refused."""
        ...

    @property
    def sample_rate(self) -> int:
        """Of the audio that `speak` gives, in Hz."""
        ...

    @property
    def refines(self) -> Refines:
        """Whether `refine` can do what it is for."""
        ...

    @property
    def languages(self) -> Sequence[Language]:
        """Those of the texts that it speaks: with a reader of their own, and measured to be understood."""
        ...

    @property
    def tiers(self) -> frozenset[Tier]:
        """What it can speak at: always NATURAL. Any other is refused with TierUnsupported, never replaced."""
        ...

    def enrol(
        self,
        recordings: Sequence[bytes],
        *,
        progress: Progress = unheard,
        cancelled: CancelCheck = never,
    ) -> Enrolment:
        """Learns a voice from whole audio files of one person, of any container and codec.

        Raises NotAudio, Truncated, Silent, TooShort, TooLong, TooNoisy, TooReverberant, MusicBehind, ClippedBadly,
        TwoSpeakers, Cancelled.
        """
        ...

    def refine(
        self,
        artefact: bytes,
        recordings: Sequence[bytes],
        *,
        transcripts: Sequence[str] = (),
        depth: Depth = Depth.STANDARD,
        progress: Progress = unheard,
        cancelled: CancelCheck = never,
    ) -> Refinement:
        """Fits the engine to the person, from the recordings that the artefact was learnt from, in minutes.

        `transcripts` say what is spoken in each recording; where there is none, speech recognition writes it. Without
        speech recognition, each recording needs its words and must be short (one stretch of up to 14 s).
        Raises as `enrol`; ArtefactMismatch, ArtefactCorrupt, RefinementUnavailable (the engine cannot, or speech
        recognition is not installed), TranscriptUnclear (too little of what was said could be made out).
        """
        ...

    def speak(
        self,
        artefact: bytes,
        text: str,
        *,
        language: str = DEFAULT_LANGUAGE,
        markup: Markup = Markup.PLAIN,
        speed: float = 1.0,
        tier: Tier = Tier.NATURAL,
        cancelled: CancelCheck = never,
    ) -> Iterator[Chunk]:
        """Speaks the text, one chunk a sentence (its pause included), each as soon as it is ready.

        `language` is a tag that asks for one of `languages` (see `languages.chosen`).
        The artefact, the language, the text, the speed and the tier are checked at the call, before the first `next`.
        Raises ArtefactMismatch, ArtefactCorrupt, LanguageUnsupported, TextEmpty, TextUnsupportedScript, SsmlMalformed,
        SsmlUnsupported (an engine without SSML refuses all of it), SpeedOutOfRange, TierUnsupported; while iterating,
        Cancelled, and TextUnreadable where what comes cannot be read after all.
        """
        ...

    def convert(
        self,
        artefact: bytes,
        recording: bytes,
        *,
        transcript: str = "",
        maximum_seconds: float = MAXIMUM_CONVERSION_S,
        progress: Progress = unheard,
        cancelled: CancelCheck = never,
    ) -> Iterator[Chunk]:
        """Says what somebody says in a whole audio file in the voice, with their timing and their intonation.

        All chunks together last as long as the recording. `transcript` is what is said; where it is not given, speech
        recognition writes it. Everything but the sound is worked out at the call, before the first `next`.
        Raises ArtefactMismatch, ArtefactCorrupt, NotAudio, Truncated, TooLong (over `maximum_seconds`), Silent (no
        speech), TranscriptUnclear (what is said could not be made out, or the transcript is not what is said),
        RecogniserMissing, ConversionUnavailable (the engine cannot), TextEmpty, TextUnreadable or
        TextUnsupportedScript (of the transcript), Cancelled; while iterating, Cancelled.
        """
        ...
