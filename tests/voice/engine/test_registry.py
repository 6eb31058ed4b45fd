"""Engines are found by name in what is installed."""

from __future__ import annotations

import pytest

from services.voice.engine import clone, registry
from services.voice.engine.errors import EngineUnknown, EngineUnusable
from tests.voice.conftest import Install
from tests.voice.engine.tone import ToneEngine


def test_the_built_in_engines_are_found_like_all_others() -> None:
    assert {"kokoro-v1", "pocket-v1"} <= set(registry.names())
    assert registry.find(registry.DEFAULT).value == "services.voice.engine.clone:load"


def test_another_package_brings_an_engine(install: Install) -> None:
    install("tones", "tone", "tests.voice.engine.tone:load")

    assert isinstance(registry.load("tone"), ToneEngine)
    assert "tone" in registry.names()


def test_an_unknown_engine_names_those_that_there_are() -> None:
    with pytest.raises(EngineUnknown, match=r"'whisper'.*kokoro-v1") as raised:
        registry.load("whisper")

    assert raised.value.reason == "ENGINE_UNKNOWN"


@pytest.mark.parametrize("value", ["no_such_package:load", "tests.voice.engine.tone:nothing"])
def test_an_engine_that_cannot_be_imported_says_why(install: Install, value: str) -> None:
    install("broken", "broken", value)

    with pytest.raises(EngineUnusable, match=r"'broken' cannot be loaded: .*no") as raised:
        registry.load("broken")

    assert raised.value.reason == "ENGINE_UNUSABLE"


def test_two_packages_with_an_engine_of_one_name_are_refused(install: Install) -> None:
    install("tones", "tone", "tests.voice.engine.tone:load")
    install("others", "tone", "others:load")

    with pytest.raises(EngineUnknown, match="several packages"):
        registry.find("tone")


def test_the_default_engine_needs_no_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda **_: ())

    assert registry.find(registry.DEFAULT).load() is clone.load
    with pytest.raises(EngineUnknown, match="installed are: kokoro-v1"):
        registry.find("pocket-v1")
