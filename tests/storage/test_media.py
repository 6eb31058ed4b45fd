"""Media: what strangers can make the reader do, and what it finds."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from services.mesh import errors
from services.storage import media
from services.storage.media import probe
from services.voice.engine import audio
from services.voice.engine.errors import NotAudio
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


def test_storage_opens_and_decodes_nothing_that_the_engine_would_not() -> None:
    """The engine is a package of its own, so that neither can import the other's list."""
    theirs = audio._OPTIONS

    assert set(media.CONTAINERS.split(",")) <= set(theirs["format_whitelist"].split(","))
    assert set(media.DECODERS.split(",")) <= set(theirs.get("codec_whitelist", media.DECODERS).split(","))


# As far as there are encoders to make it with.
ENCODED = {
    "wav": [
        *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"),
        *("adpcm_ms", "adpcm_ima_wav", "libmp3lame", "mp2", "ac3"),
    ],
    "w64": ["pcm_s16le"],
    "aiff": ["pcm_s8", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be"],
    "au": ["pcm_s16be", "pcm_mulaw"],
    "flac": ["flac"],
    "mp3": ["libmp3lame"],
    "ogg": ["libopus"],
    "matroska": ["aac", "alac", "ac3", "eac3", "wavpack", "libopus", "mp2", "pcm_s16le"],
    "webm": ["libopus"],
    "mov": ["aac", "alac", "adpcm_ima_qt", "pcm_s16be"],
    "mp4": ["aac", "alac", "ac3", "eac3", "libopus", "libmp3lame"],
    "adts": ["aac"],
    "caf": ["alac", "pcm_s16le"],
}


@pytest.mark.parametrize(("container", "codec"), [(each, codec) for each in ENCODED for codec in ENCODED[each]])
def test_the_engine_decodes_what_storage_takes(container: str, codec: str) -> None:
    data = sound(container, codec)

    found, decoded = probed(data), audio.decode(data, sample_rate=16_000)

    assert found.content_type
    assert 0.9 < decoded.seconds < 1.2


@pytest.mark.parametrize(("rate", "channels"), [(2000, 1), (400_000, 1), (48_000, 17)])
def test_neither_takes_rates_and_channels_that_no_recording_has(rate: int, channels: int) -> None:
    """The header of a WAV file, with another rate and more channels than the sound has."""
    data = bytearray(wav())
    data[22:24] = channels.to_bytes(2, "little")
    data[24:28] = rate.to_bytes(4, "little")
    data[28:32] = (rate * channels * 2).to_bytes(4, "little")
    data[32:34] = (channels * 2).to_bytes(2, "little")

    with pytest.raises(errors.InvalidArgument):
        probed(bytes(data))
    with pytest.raises(NotAudio):
        audio.decode(bytes(data), sample_rate=16_000)
