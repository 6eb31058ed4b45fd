"""The studio level on the sample: what is prepared, that fitting lowers the loss, what is kept, and stopping it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from services.voice.engine import Assets, Depth, Enrolment, KokoroEngine, artefact, sessions, timbres
from services.voice.engine.errors import Cancelled, RefinementUnavailable, TranscriptUnclear
from services.voice.engine.gradient import GradientDecoder
from services.voice.engine.port import Samples
from services.voice.engine.seam import AFFINES
from services.voice.engine.studio import refine, transcription
from services.voice.engine.studio.fitting import CROP, Fit, Fitting, Utterance, crop
from services.voice.engine.studio.listener import Listener
from services.voice.engine.studio.losses import MelDistance
from services.voice.engine.studio.preparation import prepare
from tests.voice.engine.conftest import SENTENCE
from tests.voice.engine.media import ROBIN, behind, noise, recorded, robin

WORDS = (ROBIN.parent / "speech.txt").read_text("utf-8").strip()


@pytest.fixture(autouse=True)
def nobody_recognises(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if speech recognition were not installed."""
    monkeypatch.setattr(transcription, "_RECOGNISER", ("no_such_recogniser",))
    transcription._recogniser.cache_clear()


@pytest.fixture(scope="module")
def utterances(engine: KokoroEngine, assets: Assets) -> list[Utterance]:
    spoken = transcription.transcribe([robin(24000)], [WORDS], cancelled=lambda: False)
    found, pace = prepare(
        spoken,
        model=engine._model,
        source=sessions.open_session(assets.source, threads=1),
        phonemes=engine._phonemes,
        pack=assets.styles()["af_heart"],
        cancelled=lambda: False,
    )

    assert 0.7 < pace < 1.4
    return found


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many steps, and as much said to compare, as a test can wait for."""
    monkeypatch.setattr(refine, "SETTINGS", {Depth.STANDARD: refine.Setting(steps=4, rank=0)})
    monkeypatch.setattr(refine, "SENTENCES", ("Nobody on the pier had noticed that.",))
    monkeypatch.setattr(refine, "_CHECKS", 1)


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch, utterances: list[Utterance]) -> None:
    """What every preparation here comes to, made once."""
    monkeypatch.setattr(refine, "prepare", lambda *spoken, **how: (utterances, 1.0))


def test_what_is_given_is_laid_along_the_recording(utterances: list[Utterance]) -> None:
    (whole,) = utterances

    assert 10 < whole.frames / 40 < 12
    assert whole.features.shape == (512, whole.frames)
    assert whole.pitch.size == whole.energy.size == 2 * whole.frames
    assert whole.recorded.size == whole.spoken.size == 600 * whole.frames
    assert 0.3 < np.mean(whole.pitch > 0) < 0.95


def test_fitting_lowers_the_loss_on_what_it_has_and_has_not_heard(
    engine: KokoroEngine, assets: Assets, utterances: list[Utterance]
) -> None:
    layers, whole = engine._model.affines, utterances[0]
    weights = timbres.stored_weights(assets.decoder)
    decoder = GradientDecoder(weights, layers.norms, threads=2)
    listener = Listener(assets.speaker)
    edge = whole.frames - CROP
    train = refine._part(whole, 0, edge)
    style = assets.styles()["af_heart"][100, :128].astype(np.float32)
    fitting = Fitting(
        [train],
        style=style,
        layers=layers,
        decoder=decoder,
        listener=listener,
        likeness=engine._refiner._windows([train]),
        bandwidth_hz=8000,
    )
    distance = MelDistance([train.recorded], [train.spoken], bandwidth_hz=8000)

    def loss(fit: Fit, start: int) -> float:
        feeds = crop(whole, start, CROP) | {AFFINES: fit.affines}
        piece = slice(600 * start, 600 * (start + CROP))
        target = distance.target(whole.recorded[piece], whole.spoken[piece])
        return distance.measure(decoder.forth(feeds).wave, target)[0]

    before = fitting.state(0)
    seen: list[int] = []
    fitting.run(
        6,
        check=lambda fit: seen.append(fit.steps) or True,
        every=3,
        progress=lambda share: None,
        cancelled=lambda: False,
    )
    after = fitting.state(6)

    assert seen == [3, 6]
    assert loss(after, CROP) < 0.9 * loss(before, CROP)
    assert loss(after, edge) < 0.95 * loss(before, edge)


def far(engine: KokoroEngine, given: bytes) -> bytes:
    """A voice as it might have been learnt: of another stock voice, and without what was learnt of the person's."""
    voice = artefact.load(given, engine=engine.name, model_hash=engine.model_hash)
    other = replace(
        voice,
        stock=("af_bella",),
        weights=np.ones(1, np.float32),
        timbre=np.zeros_like(voice.timbre),
        equaliser=np.zeros_like(voice.equaliser),
    )
    return artefact.dump(other, engine=engine.name, model_hash=engine.model_hash)


@pytest.mark.usefixtures("hasty")
def test_a_voice_that_comes_nearer_is_kept_as_an_artefact_that_speaks(
    engine: KokoroEngine, enrolment: Enrolment, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What a few steps gain is less than what counts in earnest.
    monkeypatch.setattr(refine, "_LEAST_GAIN", 0.0)
    told: list[tuple[str, int]] = []

    made = engine.refine(
        far(engine, enrolment.artefact),
        [ROBIN.read_bytes()],
        transcripts=[WORDS],
        progress=lambda *stage: told.append(stage),
    )
    voice = artefact.load(made.artefact, engine=engine.name, model_hash=engine.model_hash)
    said = np.concatenate([chunk.samples for chunk in engine.speak(made.artefact, SENTENCE)])

    assert made.better
    assert made.score_after > made.score_before
    assert made.steps == 4
    assert [percent for _, percent in told] == sorted(percent for _, percent in told)
    assert {stage for stage, _ in told} == {"listening", "aligning", "fitting", "comparing", "done"}
    assert artefact.describe(made.artefact)["level"] == "STUDIO"
    assert voice.fitted is not None
    assert artefact.dump(voice, engine=engine.name, model_hash=engine.model_hash) == made.artefact
    assert 0.02 < np.sqrt(np.mean(said**2)) < 0.3


@pytest.mark.usefixtures("hasty", "prepared")
@pytest.mark.parametrize("after", [0.8, 0.91])
def test_a_voice_that_comes_hardly_nearer_stays_as_it_was(
    engine: KokoroEngine, enrolment: Enrolment, monkeypatch: pytest.MonkeyPatch, after: float
) -> None:
    likeness = iter((0.9, after))
    monkeypatch.setattr(refine, "SETTINGS", {Depth.STANDARD: refine.Setting(steps=1, rank=0)})
    monkeypatch.setattr(refine.Refiner, "_likeness", lambda *given: next(likeness))

    made = engine.refine(enrolment.artefact, [ROBIN.read_bytes()], transcripts=[WORDS])

    assert (made.better, made.score_before, made.score_after) == (False, 0.9, after)
    assert made.artefact == enrolment.artefact


@pytest.mark.parametrize("stage", ["listening", "aligning", "fitting"])
def test_refining_stops_where_it_is_cancelled(
    engine: KokoroEngine, enrolment: Enrolment, stage: str, request: pytest.FixtureRequest
) -> None:
    if stage == "fitting":
        request.getfixturevalue("prepared")
    told: list[str] = []

    with pytest.raises(Cancelled):
        engine.refine(
            enrolment.artefact,
            [ROBIN.read_bytes()],
            transcripts=[WORDS],
            progress=lambda now, percent: told.append(now),
            cancelled=lambda: stage in told,
        )

    assert told[-1] == stage


def test_what_was_left_out_of_learning_is_left_out_of_fitting_with_its_words(
    engine: KokoroEngine, enrolment: Enrolment, monkeypatch: pytest.MonkeyPatch
) -> None:
    noisy = recorded("wav", behind(robin(16000), noise(48000, -20), -3), rate=16000)
    heard: list[tuple[int, list[str]]] = []

    def transcribe(recordings: list[Samples], transcripts: list[str], **_: object) -> None:
        heard.append((len(recordings), list(transcripts)))
        raise Cancelled()

    monkeypatch.setattr(refine, "transcribe", transcribe)
    with pytest.raises(Cancelled):
        engine.refine(enrolment.artefact, [noisy, ROBIN.read_bytes()], transcripts=["Drowned.", WORDS])

    assert heard == [(1, [WORDS])]


def test_without_words_and_recogniser_it_says_what_is_missing(engine: KokoroEngine, enrolment: Enrolment) -> None:
    long = [recorded("flac", np.tile(robin(24000), 2), rate=24000)]

    for recordings, transcripts in (([ROBIN.read_bytes()], []), (long, [f"{WORDS} {WORDS}"])):
        with pytest.raises(RefinementUnavailable, match="voicemesh") as raised:
            engine.refine(enrolment.artefact, recordings, transcripts=transcripts)
        assert raised.value.reason == "REFINEMENT_UNAVAILABLE"
    assert not transcription.recognises()


def test_words_of_something_else_are_refused(engine: KokoroEngine, enrolment: Enrolment) -> None:
    with pytest.raises(TranscriptUnclear) as raised:
        engine.refine(enrolment.artefact, [ROBIN.read_bytes()], transcripts=["Only these words."])

    assert raised.value.reason == "TRANSCRIPT_UNCLEAR"
