import hashlib

import numpy as np
import pytest

from services.voice.engine.artefact import FastShape, Voice, describe, dump, load
from services.voice.engine.errors import ArtefactCorrupt, ArtefactMismatch
from services.voice.engine.pitch import Pitch

VOICE = Voice(
    stock=("af_heart", "af_sky"),
    weights=np.array([0.75, 0.25], np.float32),
    pitch=Pitch(88.5, 3.25),
    equaliser=np.linspace(-2, 2, 64, dtype=np.float32),
    gain=1.25,
    baseline=("af_heart", "af_sky", "af_nova"),
    embedding=np.full(256, 1 / 16, np.float32),
    timbre=np.linspace(-1, 1, 128, dtype=np.float32),
    fast=FastShape(np.linspace(2, -2, 64, dtype=np.float32), 0.75, 1.06),
)
DATA = dump(VOICE, engine="kokoro-v1", model_hash="a" * 64)


def test_a_voice_survives_its_bytes() -> None:
    again = load(DATA, engine="kokoro-v1", model_hash="a" * 64)

    for kept, loaded in ((VOICE, again), (VOICE.fast, again.fast)):
        for name, value in vars(kept).items():
            if name != "fast":
                np.testing.assert_array_equal(getattr(loaded, name), value)
    assert (again.stock, again.pitch) == (VOICE.stock, VOICE.pitch)


def test_an_artefact_says_what_it_is() -> None:
    header = describe(DATA)

    assert (header["engine"], header["model_hash"], header["level"]) == ("kokoro-v1", "a" * 64, "INSTANT")
    assert len(DATA) < 4096


@pytest.mark.parametrize(("engine", "model"), [("kokoro-v2", "a" * 64), ("kokoro-v1", "b" * 64)])
def test_an_artefact_of_another_engine_or_model_is_refused(engine: str, model: str) -> None:
    with pytest.raises(ArtefactMismatch, match="learn it again") as raised:
        load(DATA, engine=engine, model_hash=model)

    assert raised.value.reason == "ARTEFACT_MISMATCH"


@pytest.mark.parametrize("at", [0, 9, 40, 300, 600, 1000, -1])
def test_a_changed_byte_is_detected(at: int) -> None:
    damaged = bytearray(DATA)
    damaged[at] ^= 1

    with pytest.raises(ArtefactCorrupt):
        load(bytes(damaged), engine="kokoro-v1", model_hash="a" * 64)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04" * 100, b"\x80\x04." * 30, DATA[:-1], DATA[:20]])
def test_other_bytes_are_no_artefact(data: bytes) -> None:
    with pytest.raises(ArtefactCorrupt):
        load(data, engine="kokoro-v1", model_hash="a" * 64)


def test_an_artefact_with_arrays_cut_off_is_refused_even_when_its_checksum_holds() -> None:
    body = DATA[:-32][:-8]

    with pytest.raises(ArtefactCorrupt):
        load(body + hashlib.sha256(body).digest(), engine="kokoro-v1", model_hash="a" * 64)
