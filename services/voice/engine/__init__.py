"""The cloning engine: learns a person's voice from recordings and speaks any English text in it.

Needs no mesh, no network and no GPU:

    from services.voice.engine import KokoroEngine, encode, prepare

    engine = KokoroEngine(prepare())
    enrolment = engine.enrol([open("me.m4a", "rb").read()])
    spoken = engine.speak(enrolment.artefact, "Hello.")
    wav = encode((chunk.samples for chunk in spoken), "wav", source_rate=engine.sample_rate)

`port` holds the interface that other engines would implement; `errors` every way this can fail.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .encoders import FORMATS, Encoder, Format, encode, encoder
from .errors import EngineError
from .port import (
    MAXIMUM_SPEED,
    MINIMUM_SPEED,
    CancelCheck,
    Chunk,
    Depth,
    Engine,
    Enrolment,
    Language,
    Level,
    Markup,
    Progress,
    Refinement,
    Refines,
    Samples,
    Tier,
    Word,
    whole,
)
from .report import Note, Report
from .text import check_text

if TYPE_CHECKING:
    from .assets import Assets, default_directory, load, model_hash, prepare
    from .clone import KokoroEngine

# A service that only checks texts and encodes audio should not load the model runtime.
_ON_DEMAND = {
    "Assets": "assets",
    "KokoroEngine": "clone",
    "default_directory": "assets",
    "load": "assets",
    "model_hash": "assets",
    "prepare": "assets",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_DEMAND:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ON_DEMAND[name]}", __name__), name)


__all__ = [
    "FORMATS",
    "MAXIMUM_SPEED",
    "MINIMUM_SPEED",
    "Assets",
    "CancelCheck",
    "Chunk",
    "Depth",
    "Encoder",
    "Engine",
    "EngineError",
    "Enrolment",
    "Format",
    "KokoroEngine",
    "Language",
    "Level",
    "Markup",
    "Note",
    "Progress",
    "Refinement",
    "Refines",
    "Report",
    "Samples",
    "Tier",
    "Word",
    "check_text",
    "default_directory",
    "encode",
    "encoder",
    "load",
    "model_hash",
    "prepare",
    "whole",
]
