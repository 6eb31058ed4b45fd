"""Pocket TTS, the real library, on a model that is tiny and knows nothing: `make test-pocket`."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.voice.engine import artefact, conformance, registry
from services.voice.engine.conformance import CHECKS, Check, Subject
from services.voice.engine.errors import AssetMissing, EngineUnusable
from services.voice.engine.port import Samples, whole
from tests.voice.engine.media import recorded

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pocket_tts") is None,
    reason="pocket_tts is not installed here, since torch is large: make test-pocket",
)

ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,;:!?'-"
SEANET: dict[str, Any] = {
    "dimension": 16,
    "channels": 1,
    "n_filters": 4,
    "n_residual_layers": 1,
    "ratios": [6, 5, 4],
    "kernel_size": 7,
    "residual_kernel_size": 3,
    "last_kernel_size": 3,
    "dilation_base": 2,
    "pad_mode": "constant",
    "compress": 2,
}


def configuration(tokenizer: Path, size: int) -> dict[str, Any]:
    """What the library builds a model of, every part as small as it goes."""
    return {
        "flow_lm": {
            "dtype": "float32",
            "insert_bos_before_voice": True,
            "flow": {"dim": 16, "depth": 1},
            "transformer": {"hidden_scale": 1, "max_period": 10000, "d_model": 16, "num_heads": 2, "num_layers": 1},
            "lookup_table": {
                "dim": 16,
                "n_bins": size,
                "tokenizer": "tokenizers",
                "tokenizer_path": str(tokenizer),
            },
        },
        "mimi": {
            "dtype": "float32",
            "sample_rate": 24000,
            "channels": 1,
            "frame_rate": 12.5,
            "inner_dim": 8,
            "outer_dim": 16,
            "seanet": SEANET,
            "transformer": {
                "d_model": 16,
                "input_dimension": 16,
                "output_dimensions": [16],
                "num_heads": 2,
                "num_layers": 1,
                "layer_scale": 0.01,
                "context": 25,
                "dim_feedforward": 16,
            },
            "quantizer": {"dimension": 8, "output_dimension": 16},
        },
    }


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the weights, the tokenizer and the configuration of a model."""
    return made(tmp_path_factory.mktemp("pocket"), seed=1)


def made(folder: Path, *, seed: int) -> Path:
    # As the engine itself would, which the library is imported before here.
    os.environ["HF_HUB_OFFLINE"] = "1"
    import safetensors.torch
    import torch
    import yaml
    from pocket_tts import TTSModel
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    words = {"<unk>": 0, **{letter: index for index, letter in enumerate(ALPHABET, start=1)}}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    tokenizer.save(str(folder / "tokenizer.json"))
    config = configuration(folder / "tokenizer.json", len(words))
    (folder / "empty.yaml").write_text(yaml.safe_dump(config))
    model = TTSModel.load_model(config=folder / "empty.yaml")
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.ones_like(tensor) if name.endswith("emb_std") else torch.randn_like(tensor) * 0.2)
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
    config["weights_path"] = str(folder / "model.safetensors")
    (folder / "pocket.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="session")
def subject(models: Path, six_seconds: Samples) -> Subject:
    engine = registry.load("pocket-v1", models=models, threads=1)
    recordings = [recorded("wav", six_seconds, rate=48000)]
    enrolment = engine.enrol(recordings)
    header, content = artefact.unpack(enrolment.artefact, engine=engine.name, model_hash=engine.model_hash)
    foreign = artefact.pack({**header, "model_hash": "0" * 64}, content)
    return Subject(engine, recordings, enrolment, foreign)


@pytest.mark.parametrize("check", CHECKS, ids=conformance.name)
def test_it_conforms(check: Check, subject: Subject) -> None:
    check(subject)


def test_the_same_text_is_the_same_speech(subject: Subject) -> None:
    # How many frames the library decodes at once is a matter of threads, and rounds differently.
    np.testing.assert_allclose(subject.say(conformance.SENTENCE), subject.say(conformance.SENTENCE), atol=1e-5)


def test_another_person_gives_another_voice(subject: Subject, six_seconds: Samples) -> None:
    other = subject.engine.enrol([recorded("wav", six_seconds[48000:][::-1].copy(), rate=48000)])

    theirs = whole(subject.engine.speak(other.artefact, conformance.SENTENCE))
    mine = subject.say(conformance.SENTENCE)

    assert theirs.shape != mine.shape or not np.allclose(theirs, mine, atol=1e-3)


def test_twice_as_fast_is_half_as_long(subject: Subject) -> None:
    plain, fast = subject.say(conformance.SENTENCE), subject.say(conformance.SENTENCE, 2.0)

    assert fast.size == pytest.approx(plain.size / 2, rel=0.1)


def test_the_hash_follows_the_weights_and_not_their_place(subject: Subject, tmp_path: Path) -> None:
    (tmp_path / "same").mkdir()
    (tmp_path / "other").mkdir()
    same = registry.load("pocket-v1", models=made(tmp_path / "same", seed=1))
    other = registry.load("pocket-v1", models=made(tmp_path / "other", seed=2))

    assert same.model_hash == subject.engine.model_hash
    assert other.model_hash != same.model_hash


def test_weights_that_cannot_clone_are_refused_loudly(subject: Subject) -> None:
    from services.voice.engine.pocket import PocketEngine

    model = subject.engine._model  # type: ignore[attr-defined]
    model.has_voice_cloning = False
    try:
        with pytest.raises(EngineUnusable, match="without voice cloning"):
            PocketEngine(model)
    finally:
        model.has_voice_cloning = True


def test_weights_that_are_not_in_the_hub_cache_are_not_downloaded(tmp_path: Path, models: Path) -> None:
    written = (models / "pocket.yaml").read_text()
    path = str(models / "model.safetensors")
    (tmp_path / "pocket.yaml").write_text(written.replace(path, "hf://nobody/nothing/model.safetensors"))

    with pytest.raises(AssetMissing, match="not there"):
        registry.load("pocket-v1", models=tmp_path)


def test_weights_by_web_address_are_refused(tmp_path: Path, models: Path) -> None:
    written = (models / "pocket.yaml").read_text()
    path = str(models / "model.safetensors")
    (tmp_path / "pocket.yaml").write_text(written.replace(path, "https://example.org/model.safetensors"))

    with pytest.raises(EngineUnusable, match="web address"):
        registry.load("pocket-v1", models=tmp_path)
