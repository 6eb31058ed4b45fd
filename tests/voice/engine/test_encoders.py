import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from services.voice.engine.audio import decode
from services.voice.engine.encoders import FORMATS, UNKNOWN_LENGTH, encode, encoder
from services.voice.engine.errors import FormatUnsupported
from services.voice.engine.port import Samples

TONE = (0.3 * np.sin(np.arange(24000 * 2) * 2 * np.pi * 440 / 24000)).astype(np.float32)
SENTENCES = np.array_split(TONE, 5)


@pytest.mark.parametrize("rate", [16000, 24000, 48000])
@pytest.mark.parametrize("name", [name for name in FORMATS if name != "pcm"])
def test_a_stream_plays_back_the_sound(name: str, rate: int) -> None:
    into = encoder(name, source_rate=24000, sample_rate=rate)

    data = b"".join([*map(into.feed, SENTENCES), into.finish()])

    heard = decode(data, sample_rate=24000)
    assert heard.seconds == pytest.approx(2.0, abs=0.12)
    assert heard.sample_rate == (48000 if name == "opus" else rate)
    assert np.sqrt(np.mean(heard.samples[12000:36000] ** 2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.06)
    strongest = np.abs(np.fft.rfft(heard.samples[12000:36000])).argmax()
    assert strongest == pytest.approx(440, abs=1)


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "flac", "aac", "pcm"])
def test_bytes_leave_before_the_end(name: str) -> None:
    into = encoder(name, source_rate=24000)

    early = [into.feed(sentence) for sentence in SENTENCES]

    assert sum(map(len, early)) > len(into.finish())


def test_streamed_wav_says_its_length_is_unknown() -> None:
    head = encoder("wav", source_rate=24000).feed(TONE)[:44]

    assert struct.unpack("<I", head[40:44])[0] == UNKNOWN_LENGTH
    assert struct.unpack("<I", head[4:8])[0] == UNKNOWN_LENGTH


def test_finished_wav_says_its_true_length() -> None:
    data = encode(SENTENCES, "wav", source_rate=24000)

    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    assert struct.unpack("<I", data[40:44])[0] == len(data) - 44 == 2 * TONE.size
    np.testing.assert_allclose(np.frombuffer(data[44:], "<i2") / 32767, TONE, atol=1e-4)


@pytest.mark.parametrize("name", ["mp3", "flac"])
def test_finished_files_say_their_true_length(name: str) -> None:
    import io

    import av

    with av.open(io.BytesIO(encode(SENTENCES, name, source_rate=24000))) as container:
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(2.0, abs=0.06)


@pytest.mark.parametrize("name", list(FORMATS))
def test_a_file_is_written_as_it_comes_and_ends_as_the_whole(name: str, tmp_path: Path) -> None:
    with (tmp_path / name).open("w+b") as file:
        into = encoder(name, source_rate=24000, file=file)
        given = [into.feed(sentence) for sentence in SENTENCES]
        early = file.tell()
        given.append(into.finish())

    written = (tmp_path / name).read_bytes()
    assert not any(given)
    assert early > 0
    if name != "opus":  # Ogg numbers its streams by chance.
        assert written == encode(SENTENCES, name, source_rate=24000)


@pytest.mark.parametrize("name", ["wav", "flac", "mp3"])
def test_long_speech_is_written_and_not_held(name: str, tmp_path: Path) -> None:
    minute = np.tile(TONE, 30)
    tracemalloc.start()
    with (tmp_path / name).open("w+b") as file:
        into = encoder(name, source_rate=24000, file=file)
        into.feed(minute)
        _, early = tracemalloc.get_traced_memory()
        for _ in range(9):
            into.feed(minute)
        into.finish()
    _, late = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert late - early < 2_000_000


def test_pcm_is_bare_samples_at_the_rate_asked_for() -> None:
    data = encode(SENTENCES, "pcm", source_rate=24000, sample_rate=16000)

    assert len(data) == pytest.approx(2 * 2 * 16000, abs=8)
    assert encoder("pcm", source_rate=24000, sample_rate=16000).content_type == "audio/pcm;rate=16000;channels=1"


def test_sentences_are_resampled_without_seams() -> None:
    whole = encode([TONE], "pcm", source_rate=24000, sample_rate=44100)
    parts = encode(SENTENCES, "pcm", source_rate=24000, sample_rate=44100)

    np.testing.assert_allclose(np.frombuffer(whole, "<i2").astype(int), np.frombuffer(parts, "<i2").astype(int), atol=1)


def test_overload_is_clipped_not_wrapped() -> None:
    loud: Samples = np.full(100, 1.5, np.float32)

    assert set(np.frombuffer(encode([loud], "pcm", source_rate=24000), "<i2")) == {32767}


@pytest.mark.parametrize(("name", "rate"), [("wma", None), ("opus", 44100), ("mp3", 8001)])
def test_what_cannot_be_written_is_refused(name: str, rate: int | None) -> None:
    with pytest.raises(FormatUnsupported) as raised:
        encoder(name, source_rate=24000, sample_rate=rate)

    assert raised.value.reason == "FORMAT_UNSUPPORTED"
