import os
from pathlib import Path

import pytest

from services.voice.engine import Assets, Enrolment, KokoroEngine, Samples, prepare, whole
from tests.voice.engine.media import ROBIN, robin

SENTENCE = "It was nearly midnight when she finally opened the letter from her brother."


@pytest.fixture(scope="session")
def assets() -> Assets:
    """The real models, fetched and rewritten on the first run of a machine."""
    directory = os.environ.get("VOICEMESH_VOICE_MODELS")
    return prepare(Path(directory) if directory else None)


@pytest.fixture(scope="session")
def engine(assets: Assets) -> KokoroEngine:
    return KokoroEngine(assets, threads=2, maximum_seconds=120)


@pytest.fixture(scope="session")
def enrolment(engine: KokoroEngine) -> Enrolment:
    return engine.enrol([ROBIN.read_bytes()])


@pytest.fixture(scope="session")
def spoken(engine: KokoroEngine, enrolment: Enrolment) -> Samples:
    return whole(engine.speak(enrolment.artefact, SENTENCE))


@pytest.fixture(scope="session")
def six_seconds() -> Samples:
    """Speech at 48 kHz."""
    return robin(48000, 6.0)
