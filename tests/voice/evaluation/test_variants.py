"""The list of ablations follows the engine."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from services.voice.engine import artefact as artefacts
from services.voice.engine.pitch import Pitch
from services.voice.evaluation import variants
from tests.voice.evaluation.people import TonalEngine


def voice() -> artefacts.Voice:
    sizes = {"weights": 2, "equaliser": 64, "embedding": 256, "timbre": 128}
    filled = {
        field.name: np.full(sizes[field.name], 0.5, np.float32)
        for field in dataclasses.fields(artefacts.Voice)
        if field.name in sizes
    }
    known = {"stock": ("af_heart", "am_adam"), "baseline": ("am_adam",), "pitch": Pitch(84.0, 2.0), "gain": 1.0}
    fast = artefacts.FastShape(np.full(64, 0.5, np.float32), 1.0, 1.0)
    return artefacts.Voice(**known, **filled, fast=fast, rate=1.1)


def dumped() -> bytes:
    engine = TonalEngine()
    return artefacts.dump(voice(), engine=engine.name, model_hash=engine.model_hash)


@pytest.mark.parametrize(
    "variant", [v for v in variants.variants() if v.of == "instant" and v.edit], ids=lambda v: v.name
)
def test_an_edit_changes_the_artefact_or_is_passed_over(variant: variants.Variant) -> None:
    engine = TonalEngine()
    assert variant.edit is not None

    made = variants.edited(dumped(), variant.edit, engine)

    if variant.name in ("instant-even-mix", "instant-no-fitted"):
        assert made is None
    else:
        assert made is not None
        artefacts.load(made, engine=engine.name, model_hash=engine.model_hash)


def test_each_part_with_a_default_can_be_left_out() -> None:
    assert {"instant-no-rate", "studio-no-rate", "instant-no-fitted"} <= {each.name for each in variants.variants()}


def test_options_that_the_engine_does_not_have_are_told() -> None:
    assert variants.takes(TonalEngine().refine, {"depth": None})
    assert not variants.takes(TonalEngine().refine, {"depth": None, "steps": 3})


def test_names_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        variants.chosen("instant,nonsense", ("instant",))

    assert all(each.of == "studio" for each in variants.chosen("studio", ("instant", "studio")))
