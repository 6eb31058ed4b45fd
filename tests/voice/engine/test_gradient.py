"""The whole decoder's gradient against finite differences of its waveform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from services.voice.engine import Assets, KokoroEngine, sessions, timbres
from services.voice.engine.gradient import GradientDecoder
from services.voice.engine.graph import Floats
from services.voice.engine.seam import AFFINES, ENERGY, FEATURES, PITCH, SOURCE

START, FRAMES, RANK = 20, 8, 2
NUDGE = 3e-3


@pytest.fixture(scope="module")
def feeds(engine: KokoroEngine, assets: Assets) -> dict[str, Floats]:
    """A fifth of a second of a sentence."""
    score = engine._model.score(engine._phonemes.tokens("It was nearly midnight."), assets.styles()["af_heart"])
    (source,) = sessions.run(sessions.open_session(assets.source, threads=1), {PITCH: score.pitch}, [SOURCE])
    end = START + FRAMES
    return {
        FEATURES: score.features[:, :, START:end],
        PITCH: score.pitch.reshape(-1)[2 * START : 2 * end],
        ENERGY: score.energy.reshape(-1)[2 * START : 2 * end],
        SOURCE: source[:, :, 120 * START : 120 * end + 1],
        AFFINES: engine._model.timbre(score.style[0]),
    }


def decoder(engine: KokoroEngine, assets: Assets, *, rank: int = 0, exact: bool) -> GradientDecoder:
    weights = timbres.stored_weights(assets.decoder)
    return GradientDecoder(weights, engine._model.affines.norms, threads=2, rank=rank, exact=exact)


def parts(engine: KokoroEngine, gradients: Mapping[str, Floats]) -> Iterator[tuple[str, slice]]:
    """The scales and shifts of each normalisation, and each factor of each difference."""
    for norm in engine._model.affines.norms.values():
        for start in (norm.start, norm.start + norm.channels):
            yield AFFINES, slice(start, start + norm.channels)
    yield from ((name, slice(None)) for name in gradients if name != AFFINES)


def test_the_gradient_is_the_slope_of_the_waveform(
    engine: KokoroEngine, assets: Assets, feeds: dict[str, Floats]
) -> None:
    exact = decoder(engine, assets, rank=RANK, exact=True)
    random = np.random.default_rng(0)
    values = dict(feeds)
    for name, size in exact.sizes.items():
        values[name] = random.normal(0, 0.02, size).astype(np.float32)
    passed = exact.forth(values)
    weights = random.normal(0, 1, passed.wave.size).astype(np.float32)
    gradients = exact.back(passed, weights, values)

    def loss(direction: Mapping[str, Floats], amount: float) -> float:
        moved = {name: (values[name] + amount * way).astype(np.float32) for name, way in direction.items()}
        return float((exact.forth({**values, **moved}).wave.astype(np.float64) * weights).sum())

    slopes, numeric = [], []
    for _ in range(6):
        # Every part counts alike, uphill or downhill by chance, so that none can be wrong unseen.
        direction = {name: np.zeros_like(value) for name, value in gradients.items()}
        for name, part in parts(engine, gradients):
            flow = gradients[name][part]
            direction[name][part] = random.choice((-1, 1)) * flow / np.linalg.norm(flow)
        slopes.append(sum(float((gradients[name] * way).sum()) for name, way in direction.items()))
        numeric.append((loss(direction, NUDGE) - loss(direction, -NUDGE)) / (2 * NUDGE))
    scale = np.sqrt(sum(float((gradients[name][part] ** 2).sum()) for name, part in parts(engine, gradients)))

    assert len(list(parts(engine, gradients))) == 2 * 58 + len(exact.differences)
    assert len(exact.differences) > 100
    np.testing.assert_allclose(slopes, numeric, atol=0.02 * scale)


def test_whole_numbers_leave_the_direction(engine: KokoroEngine, assets: Assets, feeds: dict[str, Floats]) -> None:
    both = [decoder(engine, assets, exact=exact) for exact in (True, False)]
    passed = [made.forth(feeds) for made in both]
    cosines = []
    for seed in range(4):
        weights = np.random.default_rng(seed).normal(0, 1, passed[0].wave.size).astype(np.float32)
        found = [made.back(way, weights, feeds)[AFFINES] for made, way in zip(both, passed, strict=True)]
        cosines.append(found[0] @ found[1] / np.prod([np.linalg.norm(each) for each in found]))

    assert np.mean(cosines) > 0.75
