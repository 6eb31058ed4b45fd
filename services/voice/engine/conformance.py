"""What every engine behind the port must do, as checks that any package may run on its own.

    from services.voice.engine import conformance

    @pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name)
    def test_my_engine_conforms(check, subject):
        check(subject)

Each check raises AssertionError, or the error that it came upon. Bounds are on work, never on time.
"""

import json
import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from .claims import assert_audio, raises
from .errors import (
    ArtefactCorrupt,
    ArtefactMismatch,
    Cancelled,
    ConversionUnavailable,
    EngineError,
    LanguageUnsupported,
    NotAudio,
    RecordingError,
    RefinementUnavailable,
    SpeedOutOfRange,
    SsmlUnsupported,
    TextEmpty,
    TextError,
    TierUnsupported,
)
from .port import MAXIMUM_SPEED, MINIMUM_SPEED, Engine, Enrolment, Markup, Refines, Samples, Tier, whole

SENTENCE: Final = "It was nearly midnight when she opened the letter."
SENTENCES: Final = "The first is short. So is the second. The third ends it. Nobody should hear the fourth."
ODD_TEXTS: Final = (
    "!?…",
    "a",
    "naïve café — 'quoted' (twice), 50 % off & more",
    "x" * 400,
    "no. full. stops. 3.14 e.g. Dr. Who",
    "line\none\n\n\nline two\ttabbed",
    "привет",
    "𝒇𝒂𝒏𝒄𝒚 ﬁ ½ ² 😀",
)
LONGEST_SECONDS: Final = 60.0
"""No engine needs more for SENTENCE, at any speed."""


@dataclass(frozen=True)
class Subject:
    """An engine, and what it is checked with."""

    engine: Engine
    recordings: Sequence[bytes]
    """At least 5 s of one person's speech, as whole audio files."""
    enrolment: Enrolment
    """Of these recordings by this engine."""
    foreign: bytes
    """An artefact of the engine's own form that other models made."""
    tier: Tier = Tier.NATURAL
    """What is spoken at."""
    converts: bool = False
    """Whether it can say a recording again; what that makes is for its own tests."""

    def say(self, text: str, speed: float = 1.0) -> Samples:
        """All of a text."""
        return whole(self.engine.speak(self.enrolment.artefact, text, speed=speed, tier=self.tier))


Check: TypeAlias = Callable[[Subject], None]


def name(check: Check) -> str:
    """What a check is called."""
    return check.__name__


def says_what_it_is(subject: Subject) -> None:
    engine = subject.engine
    assert re.fullmatch(r"\S+", engine.name)
    assert re.fullmatch("[0-9a-f]{64}", engine.model_hash), "model_hash is a SHA-256 in hexadecimal"
    assert 8000 <= engine.sample_rate <= 48000
    assert Tier.NATURAL in engine.tiers, "every engine speaks at NATURAL"
    assert subject.tier in engine.tiers
    assert engine.refines in Refines
    assert any(not language.needs for language in engine.languages), "every engine speaks some language"


def learns_the_same_twice_and_tells_how_far_it_is(subject: Subject) -> None:
    told: list[int] = []
    again = subject.engine.enrol(subject.recordings, progress=lambda _, percent: told.append(percent))
    assert isinstance(again.artefact, bytes)
    assert again == subject.enrolment, "the same recordings are the same voice"
    assert told, "progress is told"
    assert told == sorted(told), f"{told} falls"
    assert (told[0] >= 0, told[-1]) == (True, 100), f"{told} does not end at 100"


def reports_what_it_heard(subject: Subject) -> None:
    report = subject.enrolment.report
    assert report.recordings == len(subject.recordings)
    assert 0 < report.used_seconds <= report.speech_seconds <= report.recording_seconds + 0.01
    assert report.sample_rate > 0
    assert report.channels > 0
    assert report.codecs
    assert 0 <= report.snr_db <= 60
    assert 0 <= report.clipping_ratio <= 1
    assert 0 < report.bandwidth_hz <= report.sample_rate / 2
    assert 40 < report.pitch_hz < 700
    assert all(re.fullmatch("[A-Z][A-Z_]*", note.code) and note.message for note in report.notes)
    json.dumps(report.to_dict(), allow_nan=False)


def keeps_no_recording(subject: Subject) -> None:
    for recording in subject.recordings:
        middle = recording[len(recording) // 2 :][:64]
        assert middle not in subject.enrolment.artefact, "an artefact holds no recording"


def refuses_what_is_no_recording(subject: Subject) -> None:
    with raises(NotAudio):
        subject.engine.enrol([b"This is a letter, not a recording. " * 50])
    with raises(RecordingError):
        subject.engine.enrol([])


def stops_learning_when_cancelled(subject: Subject) -> None:
    with raises(Cancelled):
        subject.engine.enrol(subject.recordings, cancelled=lambda: True)


def speaks_mono_float_within_bounds(subject: Subject) -> None:
    chunks = list(subject.engine.speak(subject.enrolment.artefact, SENTENCE, tier=subject.tier))
    assert_audio(chunks)
    spoken = whole(chunks)
    assert 0 < spoken.size < LONGEST_SECONDS * subject.engine.sample_rate
    assert np.abs(spoken).max() > 1e-4, "something is heard"


def places_words_in_order(subject: Subject) -> None:
    end = 0
    for chunk in subject.engine.speak(subject.enrolment.artefact, SENTENCES, tier=subject.tier):
        seconds, at = chunk.samples.size / subject.engine.sample_rate, 0.0
        for word in chunk.words:
            assert end <= word.start < word.end <= len(SENTENCES)
            assert at <= word.start_seconds <= word.end_seconds <= seconds + 1e-6
            end, at = word.end, word.start_seconds


def speaks_at_the_bounds_of_speed(subject: Subject) -> None:
    assert all(subject.say("Hello there.", speed).size for speed in (MINIMUM_SPEED, MAXIMUM_SPEED))


def refuses_other_speeds(subject: Subject) -> None:
    for speed in (0.0, MINIMUM_SPEED - 0.01, MAXIMUM_SPEED + 0.01, -1.0, float("nan"), float("inf")):
        with raises(SpeedOutOfRange):
            subject.engine.speak(subject.enrolment.artefact, SENTENCE, speed=speed, tier=subject.tier)


def refuses_tiers_that_it_has_not(subject: Subject) -> None:
    for tier in set(Tier) - subject.engine.tiers:
        with raises(TierUnsupported):
            subject.engine.speak(subject.enrolment.artefact, SENTENCE, tier=tier)


def refuses_languages_that_it_has_not(subject: Subject) -> None:
    # Of the tags that RFC 5646 keeps for private use.
    for tag in ("qaa", *(language.tag for language in subject.engine.languages if language.needs)):
        with raises(LanguageUnsupported):
            subject.engine.speak(subject.enrolment.artefact, SENTENCE, language=tag, tier=subject.tier)


def refuses_text_without_words(subject: Subject) -> None:
    for text in ("", "  \n", "😀", "\u200d"):
        with raises(TextEmpty):
            subject.engine.speak(subject.enrolment.artefact, text, tier=subject.tier)


def speaks_odd_text_or_refuses_it(subject: Subject) -> None:
    for text in ODD_TEXTS:
        try:
            chunks = subject.engine.speak(subject.enrolment.artefact, text, tier=subject.tier)
        except TextError:
            continue
        assert_audio(list(chunks))


def refuses_a_foreign_artefact(subject: Subject) -> None:
    with raises(ArtefactMismatch):
        subject.engine.speak(subject.foreign, SENTENCE, tier=subject.tier)


def refuses_a_damaged_artefact(subject: Subject) -> None:
    artefact = subject.enrolment.artefact
    flipped = bytearray(artefact)
    flipped[len(artefact) // 2] ^= 1
    for damaged in (b"", artefact[:-1], artefact + b"\0", bytes(flipped), b"PK\x03\x04" * 100, bytes(len(artefact))):
        with raises(ArtefactCorrupt):
            subject.engine.speak(damaged, SENTENCE, tier=subject.tier)


def stops_speaking_when_cancelled(subject: Subject) -> None:
    with raises(Cancelled):
        list(subject.engine.speak(subject.enrolment.artefact, SENTENCE, tier=subject.tier, cancelled=lambda: True))
    stop = threading.Event()
    chunks = subject.engine.speak(subject.enrolment.artefact, SENTENCES, tier=subject.tier, cancelled=stop.is_set)
    next(chunks)
    stop.set()
    # What was ready already may still come; no other.
    with raises(Cancelled):
        next(chunks)
        next(chunks)


def goes_on_after_a_call_was_cancelled_or_left(subject: Subject) -> None:
    left = subject.engine.speak(subject.enrolment.artefact, SENTENCES, tier=subject.tier)
    next(left)
    del left
    assert subject.say("Hello there.").size


def serves_several_threads(subject: Subject) -> None:
    made: list[int] = []
    threads = [threading.Thread(target=lambda: made.append(subject.say("Hello there.").size)) for _ in range(2)]
    for step in (threading.Thread.start, threading.Thread.join):
        for thread in threads:
            step(thread)
    assert all([*made, len(made) == len(threads)]), "each thread gets its speech"


def refines_or_says_that_it_cannot(subject: Subject) -> None:
    # What a fit makes is for the engine's own tests, since it takes minutes.
    if subject.engine.refines is Refines.NEVER:
        with raises(RefinementUnavailable):
            subject.engine.refine(subject.enrolment.artefact, subject.recordings)
    else:
        with raises(ArtefactCorrupt):
            subject.engine.refine(b"", subject.recordings)


def converts_or_says_that_it_cannot(subject: Subject) -> None:
    expected: type[EngineError] = ArtefactCorrupt if subject.converts else ConversionUnavailable
    artefact = b"" if subject.converts else subject.enrolment.artefact
    with raises(expected):
        subject.engine.convert(artefact, subject.recordings[0])


def reads_ssml_or_refuses_all_of_it(subject: Subject) -> None:
    artefact, ssml = subject.enrolment.artefact, "<speak>Hello there.</speak>"
    try:
        chunks = subject.engine.speak(artefact, ssml, markup=Markup.SSML, tier=subject.tier)
    except SsmlUnsupported:
        return
    assert_audio(list(chunks))
    with raises(TextError):
        subject.engine.speak(artefact, "<speak>Hello there.", markup=Markup.SSML, tier=subject.tier)


CHECKS: Final[tuple[Check, ...]] = (
    says_what_it_is,
    learns_the_same_twice_and_tells_how_far_it_is,
    reports_what_it_heard,
    keeps_no_recording,
    refuses_what_is_no_recording,
    stops_learning_when_cancelled,
    speaks_mono_float_within_bounds,
    places_words_in_order,
    speaks_at_the_bounds_of_speed,
    refuses_other_speeds,
    refuses_tiers_that_it_has_not,
    refuses_languages_that_it_has_not,
    refuses_text_without_words,
    speaks_odd_text_or_refuses_it,
    refuses_a_foreign_artefact,
    refuses_a_damaged_artefact,
    stops_speaking_when_cancelled,
    goes_on_after_a_call_was_cancelled_or_left,
    serves_several_threads,
    refines_or_says_that_it_cannot,
    converts_or_says_that_it_cannot,
    reads_ssml_or_refuses_all_of_it,
)
