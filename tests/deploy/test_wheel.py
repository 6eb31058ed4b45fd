"""The wheel holds all that running needs, and works without the source tree."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.envoy.edge import PROGRAM

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this tree, unpacked where nothing else is."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        folder,
    ]
    subprocess.run([*build, ROOT], check=True, cwd=folder)
    (wheel,) = folder.glob("voicemesh-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_what_is_read_at_run_time(unpacked: Path) -> None:
    names = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    migrations = {str(path.relative_to(ROOT)) for path in (ROOT / "services").rglob("*.sql")}

    assert migrations
    assert migrations <= names
    assert {
        "services/gateway/voicemesh.binpb",
        "services/local/envoy.yaml.j2",
        "services/voice/engine/stock.npz",
        "voicemesh/voice/v1/voice_pb2.py",
        "buf/validate/validate_pb2.py",
    } <= names


def test_the_wheel_renders_a_configuration_that_envoy_takes(
    unpacked: Path, certificates: dict[str, Path], tmp_path: Path
) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked), "HOME": str(tmp_path)}
    command = [sys.executable, "-P", "-m", "services.cli", "envoy", "config", "--certificates", certificates["envoy"]]
    rendered = tmp_path / "envoy"

    subprocess.run([*command, "--output", rendered], check=True, cwd=tmp_path, env=environment, capture_output=True)
    validated = subprocess.run([PROGRAM, "--mode", "validate", "-c", rendered / "envoy.yaml"], capture_output=True)

    assert validated.returncode == 0, validated.stderr
