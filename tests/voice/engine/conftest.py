import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from services.voice.engine import Assets, Enrolment, KokoroEngine, Samples, prepare, whole
from services.voice.engine.kokoro import Kokoro
from services.voice.engine.phonemes import Phonemes
from services.voice.engine.speaker import SpeakerEncoder
from tests.voice.engine.media import ROBIN, robin

SENTENCES = (
    "The harbour lay quiet that morning, and only two of the fishing boats had gone out before the fog came down.",
    "My uncle used to say that a good map is worth more than a fast horse, particularly in the hills.",
    "Nobody answered the telephone, so we left the basket on the porch and walked home along the river.",
)
SENTENCE = "It was nearly midnight when she finally opened the letter from her brother."


@pytest.fixture(scope="session")
def assets() -> Assets:
    """The real models, fetched and rewritten on the first run of a machine."""
    directory = os.environ.get("VOICEMESH_VOICE_MODELS")
    return prepare(Path(directory) if directory else None)


@pytest.fixture(scope="session")
def encoder(assets: Assets) -> SpeakerEncoder:
    return SpeakerEncoder(assets.speaker, threads=1)


@pytest.fixture(scope="session")
def engine(assets: Assets) -> KokoroEngine:
    return KokoroEngine(assets, threads=2, maximum_seconds=120)


@pytest.fixture(scope="session")
def stranger(assets: Assets) -> Samples:
    """About 20 s of a man's speech at 24 kHz, by a stock voice."""
    return _said(assets, "am_michael", SENTENCES)


@pytest.fixture(scope="session")
def unlike_stranger(assets: Assets) -> Samples:
    """About 6 s by another, who is less like the default sample: `stranger` is taken for its speaker in a recording
    of his own, a limit that docs/engine.md states."""
    return _said(assets, "am_onyx", SENTENCES[:1])


def _said(assets: Assets, voice: str, sentences: Sequence[str]) -> Samples:
    model, phonemes, pack = Kokoro(assets, threads=2), Phonemes(assets.vocabulary()), assets.styles()[voice]
    return np.concatenate([model.sound(model.score(phonemes.tokens(sentence), pack)) for sentence in sentences])


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
