"""Simulated channels change the channel, differ from each other, and are the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice.engine import audio
from services.voice.evaluation import flattening, lossy
from services.voice.evaluation.channels import codec_of, through_channel
from services.voice.evaluation.lossy import RATE
from tests.voice.engine.media import ROBIN
from tests.voice.evaluation.people import tone


def test_a_channel_is_the_same_for_the_same_seed_and_another_for_another() -> None:
    speech = tone(120, 2)

    first, again, other = through_channel(speech, 1), through_channel(speech, 1), through_channel(speech, 2)

    assert np.array_equal(first, again)
    assert first.shape == speech.shape
    assert np.corrcoef(first, other)[0, 1] < 0.99


def test_channels_peak_at_seven_tenths() -> None:
    for seed in range(4):
        assert np.abs(through_channel(tone(120, 2), seed)).max() == pytest.approx(0.7, abs=1e-3)


def test_without_the_codec_the_microphone_and_the_room_stay() -> None:
    speech = tone(120, 2)
    seed = next(seed for seed in range(100) if codec_of(seed) == "pcm")
    coded = next(seed for seed in range(100) if codec_of(seed) == "amr-nb")

    assert np.allclose(through_channel(speech, seed), through_channel(speech, seed, codec=False), atol=1e-6)
    assert not np.allclose(through_channel(speech, coded), through_channel(speech, coded, codec=False), atol=1e-2)


def test_seeds_draw_every_codec() -> None:
    assert {codec_of(seed) for seed in range(100)} == set(lossy.CODECS)


@pytest.mark.parametrize("name", lossy.CODECS)
def test_codecs_keep_the_length_and_the_loudness_about(name: str) -> None:
    speech = audio.decode(ROBIN.read_bytes(), sample_rate=RATE).samples[: 3 * RATE]

    coded = lossy.through_codec(speech, name)

    assert coded.shape == speech.shape
    assert coded.std() == pytest.approx(speech.std(), rel=0.3)


@pytest.mark.parametrize(("name", "narrow"), [("mulaw", True), ("amr-nb", True), ("g722", False), ("opus", False)])
def test_telephones_cut_what_is_above_four_kilohertz(name: str, narrow: bool) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 2 * RATE).astype(np.float32)

    powers = np.abs(np.fft.rfft(lossy.through_codec(noise, name))) ** 2
    high, low = powers[2 * 4500 : 2 * 6500].mean(), powers[2 * 500 : 2 * 2500].mean()

    assert (high < low / 100) == narrow


def test_flattened_speech_has_the_spectrum_that_is_asked_for() -> None:
    random = np.random.default_rng(0)
    white = random.normal(0, 0.1, 4 * RATE).astype(np.float32)
    dull = np.convolve(white, np.ones(3) / 3, "same").astype(np.float32)
    target = flattening.spectrum([white])

    moved = flattening.spectrum([flattening.flattened(dull, target)])

    middle = slice(8, 150)
    assert np.abs(moved - target)[middle].mean() < 0.25 * np.abs(flattening.spectrum([dull]) - target)[middle].mean()
