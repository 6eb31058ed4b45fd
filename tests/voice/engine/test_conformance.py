"""Every engine that is at hand does what the port promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.voice.engine import Enrolment, KokoroEngine, artefact, conformance
from services.voice.engine.conformance import CHECKS, Check, Subject
from services.voice.engine.errors import EngineError
from services.voice.engine.port import Samples, Tier
from tests.voice.engine.broken import BROKEN, Break
from tests.voice.engine.media import ROBIN, recorded
from tests.voice.engine.tone import ToneEngine


def foreign(data: bytes, name: str, model_hash: str) -> bytes:
    """The artefact as other models would have made it."""
    header, content = artefact.unpack(data, engine=name, model_hash=model_hash)
    return artefact.pack({**header, "model_hash": "0" * 64}, content)


@pytest.fixture(scope="session")
def kokoro(engine: KokoroEngine, enrolment: Enrolment) -> Subject:
    other = foreign(enrolment.artefact, engine.name, engine.model_hash)
    return Subject(engine, [ROBIN.read_bytes()], enrolment, other, converts=True)


@pytest.fixture(scope="session")
def tone(six_seconds: Samples) -> Subject:
    engine, recordings = ToneEngine(), [recorded("wav", six_seconds, rate=48000)]
    enrolment = engine.enrol(recordings)
    return Subject(engine, recordings, enrolment, foreign(enrolment.artefact, engine.name, engine.model_hash))


@pytest.mark.parametrize("check", CHECKS, ids=conformance.name)
def test_the_smallest_engine_conforms(check: Check, tone: Subject) -> None:
    check(tone)


# Odd text is read alike for both tiers, and takes a while at this one.
@pytest.mark.parametrize(
    "check", [check for check in CHECKS if check is not conformance.speaks_odd_text_or_refuses_it], ids=conformance.name
)
def test_kokoro_conforms(check: Check, kokoro: Subject) -> None:
    check(kokoro)


LEARNING = ("learns", "reports", "tells", "keeps", "refuses_what", "stops_learning", "refines", "converts")


@pytest.mark.parametrize(
    "check", [check for check in CHECKS if not check.__name__.startswith(LEARNING)], ids=conformance.name
)
def test_kokoro_conforms_at_the_fast_tier(check: Check, kokoro: Subject) -> None:
    check(replace(kokoro, tier=Tier.FAST))


@pytest.mark.parametrize(("check", "broken"), BROKEN)
def test_an_engine_that_breaks_a_promise_does_not_conform(check: Check, broken: Break, tone: Subject) -> None:
    with pytest.raises((AssertionError, EngineError, ValueError)):
        check(broken(tone))


def test_every_check_notices_something() -> None:
    assert {check for check, _ in BROKEN} == set(CHECKS)
