"""What the ablation turns off or changes, one thing at a time, through the voice artefact or the engine's options.

A variant that changes nothing in an artefact, or that asks for an option the engine does not have, is passed over,
so that the list follows the engine.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np

from services.voice.engine import artefact as artefacts
from services.voice.engine import stock
from services.voice.engine.pitch import Pitch
from services.voice.engine.port import Depth, Engine

Edit: TypeAlias = Callable[[artefacts.Voice], artefacts.Voice]


@dataclass(frozen=True)
class Variant:
    """One ablation."""

    name: str
    title: str
    of: str
    """The level whose artefact is edited, or that is learnt with other options."""
    edit: Edit | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `Engine.enrol` for the instant level, of `Engine.refine` for the others."""


def _one_voice(voice: artefacts.Voice) -> artefacts.Voice:
    return dataclasses.replace(voice, stock=voice.baseline[:1], weights=np.ones(1, np.float32))


def _even_mix(voice: artefacts.Voice) -> artefacts.Voice:
    return dataclasses.replace(voice, weights=np.full_like(voice.weights, 1 / voice.weights.size))


def _flat(voice: artefacts.Voice) -> artefacts.Voice:
    return dataclasses.replace(voice, equaliser=np.zeros_like(voice.equaliser))


def _stock_pitch(voice: artefacts.Voice) -> artefacts.Voice:
    known = {each.name: each.pitch for each in stock.voices()}
    median = float(np.dot([known[name] for name in voice.stock], voice.weights))
    return dataclasses.replace(voice, pitch=Pitch(median, voice.pitch.spread))


def _stock_spread(voice: artefacts.Voice) -> artefacts.Voice:
    return dataclasses.replace(voice, pitch=Pitch(voice.pitch.median, 3.0))


def _no_timbre(voice: artefacts.Voice) -> artefacts.Voice:
    return dataclasses.replace(voice, timbre=np.zeros_like(voice.timbre))


VARIANTS: Final = (
    Variant("instant-one-voice", "the nearest stock voice alone, not the mix", "instant", _one_voice),
    Variant("instant-even-mix", "the mix in equal shares", "instant", _even_mix),
    Variant("instant-no-timbre", "no fitting of the timbre", "instant", _no_timbre),
    Variant("instant-flat", "no equaliser", "instant", _flat),
    Variant("instant-stock-pitch", "the stock voices' pitch", "instant", _stock_pitch),
    Variant("instant-usual-spread", "a usual movement of pitch, not the person's", "instant", _stock_spread),
    Variant("studio-stock-pitch", "the stock voices' pitch", "studio", _stock_pitch),
    Variant("studio-usual-spread", "a usual movement of pitch, not the person's", "studio", _stock_spread),
    Variant("studio-40-steps", "40 steps", "studio", options={"steps": 40}),
    Variant("studio-320-steps", "320 steps", "studio", options={"steps": 320}),
    Variant("studio-high-40-steps", "40 steps", "studio_high", options={"steps": 40, "depth": Depth.HIGH}),
    Variant("studio-high-320-steps", "320 steps", "studio_high", options={"steps": 320, "depth": Depth.HIGH}),
)


def variants() -> Iterator[Variant]:
    """VARIANTS, and one for each part of an artefact that has a default: the voice without that part."""
    yield from VARIANTS
    for part in dataclasses.fields(artefacts.Voice):
        if part.default is dataclasses.MISSING:
            continue
        for level in ("instant", "studio", "studio_high"):
            if part.name == "fitted" and level != "instant":
                # Without it the studio voice is the instant one.
                continue
            yield Variant(f"{level}-no-{part.name}", f"no {part.name}", level, _without(part.name, part.default))


def _without(name: str, default: Any) -> Edit:
    return lambda voice: dataclasses.replace(voice, **{name: default})


def chosen(asked: str, levels: tuple[str, ...]) -> list[Variant]:
    """Those that `--ablation` names: `all`, a level, or their own names, separated by commas; of the levels that are
    measured. Raises ValueError for a name that is none."""
    known = [variant for variant in variants() if variant.of in levels]
    names = [name for name in asked.split(",") if name]
    wrong = set(names) - {"all", *levels, *(variant.name for variant in variants())}
    if wrong:
        raise ValueError(f"no such ablation: {', '.join(sorted(wrong))}")
    return [variant for variant in known if {"all", variant.of, variant.name} & set(names)]


def edited(artefact: bytes, edit: Edit, engine: Engine) -> bytes | None:
    """The artefact with the edit; None where that changes nothing."""
    voice = artefacts.load(artefact, engine=engine.name, model_hash=engine.model_hash)
    made = artefacts.dump(edit(voice), engine=engine.name, model_hash=engine.model_hash)
    return None if made == artefact else made


def takes(method: Callable[..., Any], options: Mapping[str, Any]) -> bool:
    """Whether the method has all these options."""
    return set(options) <= set(inspect.signature(method).parameters)
