"""The fast tier: another model, the same person."""

import numpy as np
import pytest
import soxr

from services.voice.engine import Enrolment, KokoroEngine, Tier, artefact, pitch
from services.voice.engine.fast import Fast, _between_harmonics, _warped
from services.voice.engine.phonemes import Phonemes
from services.voice.engine.pitch import Pitch
from services.voice.engine.port import Samples, whole
from services.voice.evaluation import similarity
from tests.voice.engine.conftest import SENTENCE
from tests.voice.engine.media import ROBIN


def measured(samples: Samples) -> Pitch:
    found = pitch.measure(np.asarray(soxr.resample(samples, 24000, 16000), np.float32))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def said(engine: KokoroEngine, enrolment: Enrolment) -> Samples:
    return whole(engine.speak(enrolment.artefact, SENTENCE, tier=Tier.FAST))


def test_it_speaks_at_the_persons_pitch_and_loudness(said: Samples, spoken: Samples, enrolment: Enrolment) -> None:
    assert measured(said).median == pytest.approx(12 * np.log2(enrolment.report.pitch_hz), abs=1.5)
    assert 20 * np.log10(np.std(said) / np.std(spoken)) == pytest.approx(0, abs=3)
    assert np.abs(said).max() <= 0.98


def test_it_is_nearer_to_the_person_than_its_own_voice_is(
    engine: KokoroEngine, enrolment: Enrolment, said: Samples
) -> None:
    plain = artefact.FastShape(np.zeros(64, np.float32), 1.0, 1.0)
    voice = artefact.load(enrolment.artefact, engine=engine.name, model_hash=engine.model_hash)
    tokens = engine._phonemes.tokens(SENTENCE)
    own = engine._fast.say(tokens, Pitch(12 * np.log2(200), voice.pitch.spread), plain)

    assert similarity(ROBIN.read_bytes(), said) > similarity(ROBIN.read_bytes(), own) + 0.05


def test_each_tier_speaks_with_its_own_model(said: Samples, spoken: Samples) -> None:
    count = min(said.size, spoken.size)

    assert np.abs(said[:count] - spoken[:count]).max() > 0.1


@pytest.mark.parametrize("hertz", [85.0, 130.0, 260.0])
def test_any_pitch_comes_out_as_it_was_asked_for(engine: KokoroEngine, enrolment: Enrolment, hertz: float) -> None:
    fast: Fast = engine._fast
    phonemes: Phonemes = engine._phonemes
    plain = artefact.FastShape(np.zeros(64, np.float32), 1.0, 1.0)

    made = fast.say(phonemes.tokens(SENTENCE), Pitch(12 * np.log2(hertz), 3.0), plain)

    assert measured(made).hertz == pytest.approx(hertz, rel=0.06)


def test_what_lies_between_the_harmonics_is_drawn_from_them() -> None:
    # 100 Hz: a harmonic in every fifth of the 20 Hz bins.
    filters = np.full((601, 1), -9.0, np.float32)
    filters[::5] = 2.0

    drawn = _between_harmonics(filters, np.array([100.0], np.float32))

    np.testing.assert_allclose(drawn[5:570], 2.0, atol=1e-5)


def test_unvoiced_frames_are_left_as_they_are() -> None:
    filters = np.random.default_rng(1).normal(size=(601, 2)).astype(np.float32)

    np.testing.assert_array_equal(_between_harmonics(filters, np.zeros(2, np.float32)), filters)


@pytest.mark.parametrize("warp", [0.85, 1.06])
def test_a_warp_moves_every_peak_by_its_factor(warp: float) -> None:
    bins = np.arange(601)
    spectrum = np.exp(-(((bins - 300) / 20) ** 2)).astype(np.float32)[:, None]

    assert abs(int(_warped(spectrum, warp).argmax()) - 300 * warp) <= 1
