"""What the fitting goes by: how far a waveform is from a recording, and from a person, each with its gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from services.voice.engine import Assets, speaker
from services.voice.engine.graph import Floats
from services.voice.engine.port import Samples
from services.voice.engine.speaker import SpeakerEncoder
from services.voice.engine.spectrum import mel_bank, stft
from services.voice.engine.studio.fitting import Adam, channel
from services.voice.engine.studio.listener import WINDOW, Listener
from services.voice.engine.studio.losses import MelDistance
from tests.voice.engine.media import narrowed, robin

LENGTH = 40000
Measure = Callable[[Samples], tuple[float, Samples]]


@pytest.fixture(scope="module")
def speech() -> Samples:
    return robin(24000, 4.0)


@pytest.fixture(scope="module")
def listener(assets: Assets) -> Listener:
    return Listener(assets.speaker)


def slopes(measure: Measure, at: Samples, direction: Samples, nudge: float) -> tuple[float, float]:
    """Along a direction of the waveform: by the gradient, and by central differences."""
    gradient = measure(at)[1]
    ahead, behind = (measure((at + sign * nudge * direction).astype(np.float32))[0] for sign in (1, -1))
    return float(gradient.astype(np.float64) @ direction), (ahead - behind) / (2 * nudge)


def directions(gradient: Samples, speech: Samples) -> list[Samples]:
    """Uphill, uphill in one half alone, and towards other speech; each as long as what is moved."""
    half = gradient.copy()
    half[: half.size // 2] = 0
    ways = [gradient, half, speech[50000 : 50000 + gradient.size]]
    return [way * np.linalg.norm(speech[: gradient.size]) / np.linalg.norm(way) for way in ways]


def test_the_gradient_of_the_distance_to_a_recording(speech: Samples) -> None:
    distance = MelDistance([speech], [speech[::-1].copy()], bandwidth_hz=7000)
    at = speech[:LENGTH] + 0.01 * np.random.default_rng(0).normal(0, 1, LENGTH).astype(np.float32)
    target = distance.target(speech[20000 : 20000 + LENGTH], speech[30000 : 30000 + LENGTH])

    def measure(samples: Samples) -> tuple[float, Samples]:
        return distance.measure(samples, target)

    for direction in directions(measure(at)[1], speech):
        analytic, numeric = slopes(measure, at, direction, 1e-4)

        assert abs(numeric) > 1e-3
        assert analytic == pytest.approx(numeric, rel=0.03)


def test_the_distance_is_nothing_at_its_target_and_grows_with_noise(speech: Samples) -> None:
    distance = MelDistance([speech], [speech], bandwidth_hz=12000)
    piece = speech[:LENGTH]
    target = distance.target(piece, piece)
    noise = np.random.default_rng(0).normal(0, 1, LENGTH).astype(np.float32)

    at, near, far = (distance.measure(piece + level * noise, target)[0] for level in (0.0, 0.001, 0.01))

    assert at == pytest.approx(0, abs=1e-5)
    assert at < near < far


def test_the_gradient_of_the_likeness_to_a_person(listener: Listener, speech: Samples) -> None:
    target = np.abs(np.random.default_rng(1).normal(0, 1, 256)).astype(np.float32)
    target /= np.linalg.norm(target)
    gains = channel(np.random.default_rng(2))

    def measure(samples: Samples) -> tuple[float, Samples]:
        return listener.measure(samples, target, gains)

    at = speech[:LENGTH]
    for direction in directions(measure(at)[1], speech):
        analytic, numeric = slopes(measure, at, direction, 5e-4)

        assert abs(numeric) > 1e-3
        assert analytic == pytest.approx(numeric, rel=0.03, abs=2e-4)


def test_the_likeness_does_not_change_with_loudness(listener: Listener, speech: Samples) -> None:
    target, gains = np.full(256, 1 / 16, np.float32), np.ones(40, np.float32)
    at = speech[:LENGTH]

    near, gradient = listener.measure(at, target, gains)

    assert listener.measure(at * np.float32(0.3), target, gains)[0] == pytest.approx(near, abs=1e-4)
    assert abs(float(gradient @ at)) < 1e-3 * np.linalg.norm(gradient) * np.linalg.norm(at)


def test_the_listener_hears_what_the_encoder_hears(assets: Assets, listener: Listener, speech: Samples) -> None:
    window = speaker.mel(narrowed(speech, 24000, speaker.RATE))[:WINDOW]
    theirs = SpeakerEncoder(assets.speaker, threads=1).embed_mel(window)

    assert listener.embed(window) @ theirs > 0.9999


def test_the_listener_hears_at_its_rate_what_the_encoder_hears_at_its_own(listener: Listener, speech: Samples) -> None:
    spoken = speech[24000 : 24000 + LENGTH]
    low = narrowed(spoken, 24000, speaker.RATE)
    bank = mel_bank(rate=speaker.RATE, size=speaker.SIZE, bands=speaker.BANDS, low=0.0, high=speaker.RATE / 2)
    levelled = low * np.float32(10 ** (-24 / 20) / np.sqrt(np.mean(low**2)))
    window = (np.abs(stft(levelled, size=speaker.SIZE, hop=speaker.HOP)) ** 2 @ bank.T)[:WINDOW]

    distance, _ = listener.measure(spoken, listener.embed(window.astype(np.float32)), np.ones(40, np.float32))

    assert distance < 0.05


def test_adam_finds_the_bottom_of_a_bowl() -> None:
    bottom: dict[str, Floats] = {"one": np.array([1.0, -2.0], np.float32), "two": np.array([[3.0]], np.float32)}
    optimiser = Adam({name: np.zeros_like(value) for name, value in bottom.items()}, lambda name: 0.1)

    for step in range(300):
        flows = {name: optimiser.values[name] - value for name, value in bottom.items()}
        optimiser.step(flows, 1 - step / 300)

    for name, value in bottom.items():
        np.testing.assert_allclose(optimiser.values[name], value, atol=0.01)
