"""The engine as a whole, with the real models and the default sample."""

import threading
import time

import numpy as np
import pytest
import soxr

from services.voice.engine import Engine, Enrolment, KokoroEngine, Samples, artefact, pitch, whole
from services.voice.engine.errors import (
    ArtefactMismatch,
    Cancelled,
    SpeedOutOfRange,
    TextEmpty,
    TextUnsupportedScript,
)
from services.voice.evaluation import EvaluationUnavailable, compare, similarity
from services.voice.evaluation import similarity as similarity_module
from tests.voice.engine.conftest import SENTENCE
from tests.voice.engine.media import ROBIN, narrowed, recorded, robin

UNSEEN = (
    "The birch canoe slid on the smooth planks.",
    "You should have seen the look on his face when the old engine started again.",
)


def measured(samples: Samples) -> pitch.Pitch:
    found = pitch.measure(np.asarray(soxr.resample(samples, 24000, 16000), np.float32))
    assert found is not None
    return found


def test_it_is_an_engine(engine: KokoroEngine) -> None:
    port: Engine = engine

    assert (port.name, port.sample_rate, len(port.model_hash)) == ("kokoro-v1", 24000, 64)


def test_the_artefact_is_small_and_holds_the_persons_pitch(engine: KokoroEngine, enrolment: Enrolment) -> None:
    voice = artefact.load(enrolment.artefact, engine=engine.name, model_hash=engine.model_hash)

    assert len(enrolment.artefact) < 4096
    assert voice.weights.sum() == pytest.approx(1, abs=1e-5)
    assert voice.pitch.hertz == pytest.approx(enrolment.report.pitch_hz, abs=0.1)
    assert {name[1] for name in voice.stock[:2]} == {"f"}


def test_the_clone_speaks_at_the_persons_pitch(spoken: Samples, enrolment: Enrolment) -> None:
    target = 12 * np.log2(enrolment.report.pitch_hz)

    assert measured(spoken).median == pytest.approx(target, abs=1.5)


def test_speech_is_loud_enough_and_never_clips(spoken: Samples) -> None:
    assert spoken.dtype == np.float32
    assert 0.1 < np.abs(spoken).max() <= 0.98
    assert 2.5 < spoken.size / 24000 < 8


def test_the_clone_is_nearer_to_the_person_than_any_stock_voice_at_the_same_pitch(
    engine: KokoroEngine, enrolment: Enrolment
) -> None:
    reference = ROBIN.read_bytes()
    for sentence in UNSEEN:
        clone = whole(engine.speak(enrolment.artefact, sentence))
        stock = engine.baseline(enrolment.artefact, sentence)

        found = compare(reference, clone, stock)

        assert len(stock) == 3
        assert found.nearer, f"{sentence}: {found}"
        assert found.clone - found.stock > 0.04
        assert found.clone > 0.6


def test_stock_voices_of_the_comparison_speak_at_the_same_pitch(engine: KokoroEngine, enrolment: Enrolment) -> None:
    target = 12 * np.log2(enrolment.report.pitch_hz)

    readings = engine.baseline(enrolment.artefact, UNSEEN[1])

    assert [measured(reading).median for reading in readings] == pytest.approx([target] * 3, abs=1.5)


def test_another_person_gives_another_voice(engine: KokoroEngine, enrolment: Enrolment) -> None:
    # The sample an octave down by playing it at half speed: a giant, but certainly someone else.
    slow = narrowed(robin(24000, 8), 24000, 36000)
    other = engine.enrol([recorded("wav", slow, rate=24000)])

    clone = whole(engine.speak(other.artefact, UNSEEN[0]))

    assert other.report.pitch_hz == pytest.approx(enrolment.report.pitch_hz / 1.5, rel=0.06)
    assert measured(clone).hertz == pytest.approx(other.report.pitch_hz, rel=0.09)
    mine = whole(engine.speak(enrolment.artefact, UNSEEN[0]))
    assert similarity(ROBIN.read_bytes(), mine) > similarity(ROBIN.read_bytes(), clone) + 0.1


def test_speech_comes_sentence_by_sentence_with_pauses_and_without_clicks(
    engine: KokoroEngine, enrolment: Enrolment
) -> None:
    parts = [chunk.samples for chunk in engine.speak(enrolment.artefact, "Yes. No!\n\nMaybe 3 of them?")]

    assert len(parts) == 3
    for part, pause in zip(parts, (0.32, 0.6, 0.1), strict=True):
        assert part[0] == 0
        assert not part[part.size - int(24000 * pause) :].any()
        assert part[: part.size // 4].any()
    steps = np.abs(np.diff(np.concatenate(parts)))
    assert steps.max() < 0.4


def test_speed_changes_the_length(engine: KokoroEngine, enrolment: Enrolment, spoken: Samples) -> None:
    fast = whole(engine.speak(enrolment.artefact, SENTENCE, speed=1.5))

    assert spoken.size / 1.9 < fast.size < spoken.size / 1.2
    assert measured(fast).median == pytest.approx(measured(spoken).median, abs=1.5)


@pytest.mark.parametrize("speed", [0, 0.49, 2.01, -1, float("nan")])
def test_a_speed_out_of_range_is_refused_at_once(engine: KokoroEngine, enrolment: Enrolment, speed: float) -> None:
    with pytest.raises(SpeedOutOfRange):
        engine.speak(enrolment.artefact, SENTENCE, speed=speed)


def test_text_is_checked_before_the_first_sound_is_asked_for(engine: KokoroEngine, enrolment: Enrolment) -> None:
    with pytest.raises(TextUnsupportedScript):
        engine.speak(enrolment.artefact, "Fine so far. Привет.")
    with pytest.raises(TextEmpty):
        engine.speak(enrolment.artefact, "🙂")


def test_an_artefact_of_other_models_is_refused_at_once(engine: KokoroEngine, enrolment: Enrolment) -> None:
    voice = artefact.load(enrolment.artefact, engine=engine.name, model_hash=engine.model_hash)
    foreign = artefact.dump(voice, engine=engine.name, model_hash="0" * 64)

    with pytest.raises(ArtefactMismatch):
        engine.speak(foreign, SENTENCE)


def test_a_sentence_longer_than_the_model_takes_is_spoken_in_pieces(engine: KokoroEngine, enrolment: Enrolment) -> None:
    long = "and then the children walked to the harbour to see the boats, " * 9

    first, *rest = [chunk.samples for chunk in engine.speak(enrolment.artefact, long)]

    assert len(rest) >= 2
    assert len(first) < 24000 * 5 < 24000 * 10 < max(map(len, rest))


def test_speaking_stops_within_a_sentence_when_cancelled(engine: KokoroEngine, enrolment: Enrolment) -> None:
    stop = threading.Event()
    text = "and then the children walked to the harbour to see the boats, " * 6
    pieces = engine.speak(enrolment.artefact, text, cancelled=stop.is_set)
    threading.Timer(0.5, stop.set).start()
    started = time.monotonic()

    with pytest.raises(Cancelled) as raised:
        next(pieces)

    assert raised.value.reason == "CANCELLED"
    assert time.monotonic() - started < 2


def test_learning_stops_when_cancelled_and_reports_rising_progress(engine: KokoroEngine) -> None:
    heard: list[tuple[str, int]] = []

    with pytest.raises(Cancelled):
        engine.enrol(
            [ROBIN.read_bytes()],
            progress=lambda stage, percent: heard.append((stage, percent)),
            cancelled=lambda: bool(heard) and heard[-1][1] >= 65,
        )

    percents = [percent for _, percent in heard]
    assert percents == sorted(percents)
    assert heard[-1][0] == "calibrating"


def test_two_threads_speak_at_once(engine: KokoroEngine, enrolment: Enrolment) -> None:
    made: dict[int, Samples] = {}

    def speak(index: int) -> None:
        made[index] = whole(engine.speak(enrolment.artefact, UNSEEN[0]))

    threads = [threading.Thread(target=speak, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    np.testing.assert_allclose(made[0], made[1], atol=1e-3)


def test_the_same_voice_is_nearest_to_itself() -> None:
    mine = ROBIN.read_bytes()

    assert similarity(mine, mine) == pytest.approx(1, abs=1e-5)
    assert similarity(robin(24000, 6), robin(24000)[24000 * 6 :]) > 0.85


def test_evaluation_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    module = sys.modules["services.voice.evaluation.similarity"]
    assert similarity_module is similarity
    module._session.cache_clear()
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(EvaluationUnavailable, match=r"voicemesh\[eval\]"):
        similarity(ROBIN.read_bytes(), ROBIN.read_bytes())

    monkeypatch.undo()
    module._session.cache_clear()
