"""Media: what strangers can make the reader do, and what it finds."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from services.mesh import errors
from services.storage.media import probe
from tests.storage.sounds import sound, wav


def probed(data: bytes):
    return probe(io.BytesIO(data), len(data))


@pytest.mark.parametrize("container", ["avi", "mpegts"])
def test_only_plain_containers_are_opened(container: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        probed(sound(container, "aac"))


def test_a_list_of_other_files_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.wav").write_bytes(wav())
    monkeypatch.chdir(tmp_path)

    with pytest.raises(errors.InvalidArgument) as raised:
        probed(b"ffconcat version 1.0\nfile 'secret.wav'\n")

    assert raised.value.reason == "NOT_AUDIO"


def test_a_picture_on_the_cover_makes_no_film() -> None:
    assert probed(sound("mp3", "libmp3lame", cover=True)).content_type == "audio/mpeg"


@pytest.mark.parametrize("cut", [0.5, 0.1])
def test_a_recording_that_was_cut_off_is_still_one(cut: float) -> None:
    data = sound("mp3", "libmp3lame")

    assert probed(data[: int(len(data) * cut)]).content_type == "audio/mpeg"
