"""Engines that break one promise each, and the check that must notice."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, cast

import numpy as np

from services.voice.engine import conformance
from services.voice.engine.conformance import Check, Subject
from services.voice.engine.errors import (
    ArtefactCorrupt,
    ArtefactMismatch,
    EngineError,
    LanguageUnsupported,
    RecordingError,
    SpeedOutOfRange,
    SsmlUnsupported,
    TextEmpty,
    TierUnsupported,
)
from services.voice.engine.port import MAXIMUM_SPEED, Chunk, Enrolment, Refinement, Refines, Word, never
from tests.voice.engine.tone import ToneEngine

Break = Callable[[Subject], Subject]
BEEP: Final = Chunk(np.full(1600, 0.1, np.float32))


def says(change: Callable[[Chunk], Chunk]) -> Break:
    """Every chunk is changed."""

    class Changed(ToneEngine):
        def speak(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
            return (change(chunk) for chunk in super().speak(*arguments, **options))

    return by(Changed())


def forgives(error: type[EngineError]) -> Break:
    """What is to be refused is spoken anyhow."""

    class Forgiving(ToneEngine):
        def speak(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
            try:
                return super().speak(*arguments, **options)
            except error:
                return iter([BEEP])

    return by(Forgiving())


def by(engine: ToneEngine) -> Break:
    """The engine takes the place of the one that conforms."""
    return lambda subject: replace(subject, engine=engine)


class Nameless(ToneEngine):
    model_hash = "1.0"


class Tierless(ToneEngine):
    tiers = frozenset()


class Forgetful(ToneEngine):
    def enrol(self, *arguments: Any, **options: Any) -> Enrolment:
        enrolment = super().enrol(*arguments, **options)
        return replace(enrolment, artefact=enrolment.artefact + os.urandom(8))


class Unsteady(ToneEngine):
    def enrol(self, *arguments: Any, **options: Any) -> Enrolment:
        options.get("progress", lambda *_: None)("beginning", 99)
        return super().enrol(*arguments, **options)


class Unfinished(ToneEngine):
    def enrol(self, *arguments: Any, **options: Any) -> Enrolment:
        tell = options.pop("progress", lambda *_: None)
        return super().enrol(*arguments, progress=lambda stage, percent: tell(stage, percent // 2), **options)


class Credulous(ToneEngine):
    def enrol(self, *arguments: Any, **options: Any) -> Enrolment:
        try:
            return super().enrol(*arguments, **options)
        except RecordingError:
            return Enrolment(b"", cast(Any, None))


class Unstoppable(ToneEngine):
    def enrol(self, *arguments: Any, **options: Any) -> Enrolment:
        return super().enrol(*arguments, **{**options, "cancelled": never})

    def speak(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        return super().speak(*arguments, **{**options, "cancelled": never})


class Hasty(ToneEngine):
    def speak(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        return iter(()) if options.get("speed") == MAXIMUM_SPEED else super().speak(*arguments, **options)


class Illiterate(ToneEngine):
    def speak(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        if "½" in arguments[1]:
            raise ValueError(arguments[1])
        return super().speak(*arguments, **options)


class Sulking(ToneEngine):
    """Says nothing more once somebody has left in the middle."""

    busy = False

    def speak(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        chunks = super().speak(*arguments, **options)
        return iter(()) if self.busy else self._through(chunks)

    def _through(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        self.busy = True
        yield from chunks
        self.busy = False


class Shy(ToneEngine):
    """Speaks in one thread alone."""

    def speak(self, *arguments: Any, **options: Any) -> Iterator[Chunk]:
        chunks = super().speak(*arguments, **options)
        return chunks if threading.current_thread() is threading.main_thread() else iter(())


class Pretending(ToneEngine):
    """Gives back what it was given as if it had done something."""

    def refine(self, artefact: bytes, *_: Any, **__: Any) -> Refinement:
        return Refinement(artefact, False, 0.0, 0.0, 0)

    def convert(self, *_: Any, **__: Any) -> Iterator[Chunk]:
        return iter(())


class Boasting(ToneEngine):
    refines = Refines.ALWAYS


def keeps_the_recording(subject: Subject) -> Subject:
    whole = subject.enrolment.artefact + subject.recordings[0]
    return replace(subject, enrolment=replace(subject.enrolment, artefact=whole))


def reports_nonsense(subject: Subject) -> Subject:
    report = replace(subject.enrolment.report, used_seconds=subject.enrolment.report.recording_seconds + 60)
    return replace(subject, enrolment=replace(subject.enrolment, report=report))


BROKEN: Final[tuple[tuple[Check, Break], ...]] = (
    (conformance.says_what_it_is, by(Nameless())),
    (conformance.says_what_it_is, by(Tierless())),
    (conformance.learns_the_same_twice_and_tells_how_far_it_is, by(Forgetful())),
    (conformance.learns_the_same_twice_and_tells_how_far_it_is, by(Unsteady())),
    (conformance.learns_the_same_twice_and_tells_how_far_it_is, by(Unfinished())),
    (conformance.reports_what_it_heard, reports_nonsense),
    (conformance.keeps_no_recording, keeps_the_recording),
    (conformance.refuses_what_is_no_recording, by(Credulous())),
    (conformance.stops_learning_when_cancelled, by(Unstoppable())),
    (conformance.speaks_mono_float_within_bounds, says(lambda chunk: Chunk(chunk.samples * 4))),
    (conformance.speaks_mono_float_within_bounds, says(lambda chunk: Chunk(chunk.samples * 0))),
    (conformance.speaks_mono_float_within_bounds, says(lambda chunk: Chunk(chunk.samples * np.float32(np.nan)))),
    (conformance.speaks_mono_float_within_bounds, says(lambda chunk: Chunk(cast(Any, chunk.samples.astype("f8"))))),
    (conformance.places_words_in_order, says(lambda chunk: replace(chunk, words=(Word(0, 3, 0.0, 0.1),)))),
    (conformance.places_words_in_order, says(lambda chunk: replace(chunk, words=(Word(0, 999, 0.0, 0.1),)))),
    (conformance.speaks_at_the_bounds_of_speed, by(Hasty())),
    (conformance.refuses_other_speeds, forgives(SpeedOutOfRange)),
    (conformance.refuses_tiers_that_it_has_not, forgives(TierUnsupported)),
    (conformance.refuses_languages_that_it_has_not, forgives(LanguageUnsupported)),
    (conformance.refuses_text_without_words, forgives(TextEmpty)),
    (conformance.speaks_odd_text_or_refuses_it, by(Illiterate())),
    (conformance.refuses_a_foreign_artefact, forgives(ArtefactMismatch)),
    (conformance.refuses_a_damaged_artefact, forgives(ArtefactCorrupt)),
    (conformance.stops_speaking_when_cancelled, by(Unstoppable())),
    (conformance.goes_on_after_a_call_was_cancelled_or_left, by(Sulking())),
    (conformance.serves_several_threads, by(Shy())),
    (conformance.refines_or_says_that_it_cannot, by(Pretending())),
    (conformance.refines_or_says_that_it_cannot, by(Boasting())),
    (conformance.converts_or_says_that_it_cannot, by(Pretending())),
    (conformance.reads_ssml_or_refuses_all_of_it, forgives(SsmlUnsupported)),
)
