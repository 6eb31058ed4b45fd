"""The smallest engine that conforms: it hums at the person's pitch. What another package would bring, too."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from services.voice.engine import artefact as artefacts
from services.voice.engine import languages, reference, text
from services.voice.engine.errors import (
    ArtefactCorrupt,
    Cancelled,
    ConversionUnavailable,
    RefinementUnavailable,
    SpeedOutOfRange,
    SsmlUnsupported,
    TierUnsupported,
)
from services.voice.engine.port import (
    DEFAULT_LANGUAGE,
    MAXIMUM_SPEED,
    MINIMUM_SPEED,
    CancelCheck,
    Chunk,
    Enrolment,
    Language,
    Level,
    Markup,
    Progress,
    Refinement,
    Refines,
    Tier,
    never,
    unheard,
)

RATE = 16000


class ToneEngine:
    """One tone a sentence, as long as the sentence has characters."""

    name = "tone"
    model_hash = hashlib.sha256(b"a sine, 50 ms a character").hexdigest()
    sample_rate = RATE
    tiers = frozenset({Tier.NATURAL})
    refines = Refines.NEVER
    languages = (Language("en-US"),)

    def enrol(
        self, recordings: Sequence[bytes], *, progress: Progress = unheard, cancelled: CancelCheck = never
    ) -> Enrolment:
        """Learns the pitch."""
        heard = reference.listen(recordings, maximum_seconds=60, progress=progress, cancelled=cancelled)
        header = {"engine": self.name, "model_hash": self.model_hash, "level": Level.INSTANT, "hz": heard.pitch.hertz}
        progress("done", 100)
        return Enrolment(artefacts.pack(header, b""), heard.report)

    def refine(self, artefact: bytes, recordings: Sequence[bytes], **_: Any) -> Refinement:
        """A tone cannot be fitted."""
        raise RefinementUnavailable()

    def convert(self, artefact: bytes, recording: bytes, **_: Any) -> Iterator[Chunk]:
        """A tone says nothing."""
        raise ConversionUnavailable()

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
        """Hums the text."""
        header, rest = artefacts.unpack(artefact, engine=self.name, model_hash=self.model_hash)
        if rest:
            raise ArtefactCorrupt()
        languages.chosen(language, self.languages)
        if markup is not Markup.PLAIN:
            raise SsmlUnsupported()
        if tier not in self.tiers:
            raise TierUnsupported()
        if not MINIMUM_SPEED <= speed <= MAXIMUM_SPEED:
            raise SpeedOutOfRange()
        return _hummed(float(header["hz"]), checked(text), speed, cancelled)


def checked(written: str) -> list[str]:
    """The sentences of a text that can be spoken."""
    return [sentence for sentence, _ in text.sentences(text.check_text(written))]


def _hummed(hertz: float, sentences: Sequence[str], speed: float, cancelled: CancelCheck) -> Iterator[Chunk]:
    for sentence in sentences:
        if cancelled():
            raise Cancelled()
        times = np.arange(int(len(sentence) * 0.05 / speed * RATE)) / RATE
        yield Chunk(np.sin(2 * np.pi * hertz * times).astype(np.float32) / 2)


def load(*, models: Path | None, threads: int) -> ToneEngine:
    """As `registry.Loader`."""
    return ToneEngine()
