"""How pauses and pace are heard."""

from __future__ import annotations

import numpy as np
import pytest

from services.voice.engine import audio
from services.voice.evaluation import delivery
from services.voice.evaluation.lossy import RATE
from tests.voice.engine.media import ROBIN


@pytest.fixture(scope="module")
def halves() -> tuple[np.ndarray, np.ndarray]:
    samples = audio.decode(ROBIN.read_bytes(), sample_rate=RATE).samples
    return samples[: 3 * RATE], samples[3 * RATE : 6 * RATE]


def paused(halves: tuple[np.ndarray, np.ndarray], noise: float) -> np.ndarray:
    gap = np.random.default_rng(0).normal(0, noise, RATE).astype(np.float32) if noise else np.zeros(RATE, np.float32)
    return np.concatenate([halves[0], gap, halves[1]])


def test_twenty_decibels_more_noise_in_the_pause_are_heard_as_about_that(halves: tuple[np.ndarray, np.ndarray]) -> None:
    quiet, loud = (delivery.pause_level([paused(halves, noise)]) for noise in (3e-4, 3e-3))

    assert loud - quiet == pytest.approx(20, abs=5)


def test_digital_silence_is_no_pause(halves: tuple[np.ndarray, np.ndarray]) -> None:
    with_noise = delivery.pause_level([paused(halves, 3e-3)])
    with_both = delivery.pause_level([paused(halves, 3e-3), paused(halves, 0)])

    assert with_both == pytest.approx(with_noise, abs=3)
    assert delivery.pause_level([np.zeros(RATE, np.float32)]) == delivery.QUIETEST_DB


def test_pace_leaves_pauses_out(halves: tuple[np.ndarray, np.ndarray]) -> None:
    joined = np.concatenate(halves)

    assert delivery.pace(paused(halves, 0), 60) == pytest.approx(delivery.pace(joined, 60), rel=0.2)
