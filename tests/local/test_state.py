"""The state directory keeps its secrets, and keeps them private."""

import base64
from pathlib import Path

import pytest

from services.local import state


def test_a_secret_is_made_once_and_kept(tmp_path: Path) -> None:
    first = state.at(tmp_path).secret("VOICEMESH_VOICE_PAGE_TOKEN_KEY")
    second = state.at(tmp_path).secret("VOICEMESH_VOICE_PAGE_TOKEN_KEY")

    assert first == second
    assert len(base64.urlsafe_b64decode(first)) == 32


def test_secrets_are_private(tmp_path: Path) -> None:
    place = state.at(tmp_path)
    place.secret("one")

    assert (place.secrets / "one").stat().st_mode & 0o777 == 0o600
    assert place.secrets.stat().st_mode & 0o777 == 0o700


def test_the_environment_names_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOICEMESH_STATE", str(tmp_path / "elsewhere"))

    assert state.at().folder == tmp_path / "elsewhere"


def test_a_failed_write_leaves_the_old_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    state.private(path, b"old")
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("disk full")))

    with pytest.raises(OSError, match="disk full"):
        state.private(path, b"new")

    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
