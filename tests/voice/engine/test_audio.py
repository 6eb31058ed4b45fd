import numpy as np
import pytest

from services.voice.engine.audio import decode
from services.voice.engine.containers import missing_bytes
from services.voice.engine.errors import NotAudio, TooLong, Truncated
from services.voice.engine.port import Samples
from tests.voice.engine.media import KINDS, narrowed, recorded

BARE_FRAMES = ("mp3 without a length header", "aac (adts)")


@pytest.mark.parametrize("kind", KINDS)
def test_every_container_is_decoded_whole(kind: str, six_seconds: Samples) -> None:
    heard = decode(recorded(kind, six_seconds), sample_rate=24000)

    assert heard.seconds == pytest.approx(6.0, abs=0.08)
    assert heard.samples.dtype == np.float32
    assert heard.samples.size == pytest.approx(24000 * heard.seconds, abs=24)
    assert (heard.sample_rate, heard.channels) == (48000, 1)
    level, expected = np.sqrt(np.mean(heard.samples**2)), np.sqrt(np.mean(six_seconds**2))
    assert level == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("kept", [0.9, 0.5, 0.2])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_off_is_truncated(kind: str, kept: float, six_seconds: Samples) -> None:
    whole = recorded(kind, six_seconds)
    cut = int(kept * len(whole))
    if kind in BARE_FRAMES and missing_bytes(whole[:cut]) == 0:
        # By chance between two frames, where nobody could tell.
        cut -= 10

    with pytest.raises(Truncated) as raised:
        decode(whole[:cut], sample_rate=24000)

    assert raised.value.reason == "TRUNCATED"


def test_channels_are_mixed_down(six_seconds: Samples) -> None:
    mono = decode(recorded("wav", six_seconds), sample_rate=24000)
    stereo = decode(recorded("wav", six_seconds, channels=2), sample_rate=24000)

    assert stereo.channels == 2
    np.testing.assert_allclose(stereo.samples, mono.samples, atol=1e-4)


def test_telephone_audio_is_decoded(six_seconds: Samples) -> None:
    heard = decode(recorded("wav", narrowed(six_seconds, 48000, 8000), rate=8000), sample_rate=24000)

    assert heard.sample_rate == 8000
    assert heard.seconds == pytest.approx(6.0, abs=0.01)


def test_clipping_is_counted() -> None:
    tone = np.sin(np.arange(48000 * 2) * 2 * np.pi * 200 / 48000).astype(np.float32)

    assert decode(recorded("wav", 0.5 * tone), sample_rate=24000).clipped == 0
    assert 0.4 < decode(recorded("wav", np.clip(2 * tone, -1, 1)), sample_rate=24000).clipped < 0.8


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        np.random.default_rng(0).bytes(100_000),
        b"#EXTM3U\n#EXTINF:10,\n/etc/hostname\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile /etc/hostname\n",
        b"<html><body>not found</body></html>" * 20,
        b"ID3" + bytes(40),
        b"fLaC" + bytes(400),
        b"\xff\xfb" * 1000,
    ],
    ids=["nothing", "a byte", "noise", "playlist", "concat script", "page", "id3", "flac", "mp3"],
)
def test_garbage_is_no_audio(data: bytes) -> None:
    with pytest.raises(NotAudio) as raised:
        decode(data, sample_rate=24000)

    assert raised.value.reason == "NOT_AUDIO"


def test_a_video_without_sound_is_no_audio(six_seconds: Samples) -> None:
    import io

    import av

    sink = io.BytesIO()
    with av.open(sink, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        container.mux(stream.encode(None))

    with pytest.raises(NotAudio, match="no audio track"):
        decode(sink.getvalue(), sample_rate=24000)


@pytest.mark.parametrize("kind", ["flac", "webm from a browser"])
def test_hours_of_silence_in_a_small_file_are_stopped_at_the_limit(kind: str) -> None:
    bomb = recorded(kind, np.zeros(8000 * 900, np.float32), rate=8000)
    assert len(bomb) < 800_000

    with pytest.raises(TooLong) as raised:
        decode(bomb, sample_rate=24000, maximum_seconds=60)

    assert raised.value.details["maximum_seconds"] == "60"


def test_damaged_files_never_escape_the_errors_of_the_engine(six_seconds: Samples) -> None:
    random = np.random.default_rng(7)
    outcomes = set()
    for kind in KINDS:
        whole = recorded(kind, six_seconds[:96000])
        for _ in range(6):
            damaged = bytearray(whole)
            for at in random.integers(0, len(damaged), 20):
                damaged[at] = random.integers(0, 256)
            try:
                decode(bytes(damaged), sample_rate=24000)
                outcomes.add("ok")
            except (NotAudio, Truncated, TooLong) as error:
                outcomes.add(error.reason)

    assert {"ok", "TRUNCATED", "NOT_AUDIO"} <= outcomes
