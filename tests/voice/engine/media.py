"""Recordings as people send them, made on the spot: every container, and every way to spoil one."""

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import soxr

from services.voice.engine import audio
from services.voice.engine.port import Samples

ROBIN = Path(__file__).parents[3] / "examples" / "sample" / "robin.flac"


@dataclass(frozen=True)
class Kind:
    """A container and codec."""

    container: str
    codec: str
    options: tuple[tuple[str, str], ...] = ()
    video: bool = False
    seekable: bool = True


KINDS = {
    "wav": Kind("wav", "pcm_s16le"),
    "aiff": Kind("aiff", "pcm_s16be"),
    "flac": Kind("flac", "flac"),
    "mp3": Kind("mp3", "libmp3lame"),
    "mp3 without a length header": Kind("mp3", "libmp3lame", (("write_xing", "0"),)),
    "aac (adts)": Kind("adts", "aac"),
    "m4a": Kind("ipod", "aac"),
    "mp4 in fragments": Kind("mp4", "aac", (("movflags", "frag_keyframe+empty_moov"), ("frag_duration", "500000"))),
    "mp4 video": Kind("mp4", "aac", video=True),
    "ogg opus": Kind("ogg", "libopus"),
    "webm opus": Kind("webm", "libopus"),
    "webm from a browser": Kind("webm", "libopus", (("live", "1"),), seekable=False),
    "mkv flac": Kind("matroska", "flac"),
}


class _OneWay(io.RawIOBase):
    """A stream that cannot go back, as a browser's recorder writes."""

    def __init__(self) -> None:
        self.data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        part = bytes(data)  # type: ignore[call-overload]
        self.data += part
        return len(part)


def recorded(kind: str, samples: Samples, *, rate: int = 48000, channels: int = 1) -> bytes:
    """The samples (mono, at `rate`) as a file of this kind; every channel gets them."""
    how = KINDS[kind]
    sink: io.BytesIO | _OneWay = io.BytesIO() if how.seekable else _OneWay()
    with av.open(sink, "w", format=how.container, options=dict(how.options)) as container:
        picture = None
        if how.video:
            picture = container.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
        layout = "stereo" if channels == 2 else "mono"
        sound = container.add_stream(how.codec, rate=rate, layout=layout)
        for index in range(samples.size * 10 // rate if picture else 0):
            still = av.VideoFrame(64, 64, "yuv420p")
            still.pts, still.time_base = index, Fraction(1, 10)
            container.mux(picture.encode(still))
        pcm = np.repeat((np.clip(samples, -1, 1) * 32767).astype(np.int16), channels)[None]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm), format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        if picture:
            container.mux(picture.encode(None))
    return sink.getvalue() if isinstance(sink, io.BytesIO) else bytes(sink.data)


def robin(rate: int = 48000, seconds: float | None = None) -> Samples:
    """The default sample, mono at `rate` Hz, the first `seconds` of it."""
    samples = audio.decode(ROBIN.read_bytes(), sample_rate=rate).samples
    return samples if seconds is None else samples[: int(seconds * rate)]


def narrowed(samples: Samples, rate: int, to: int) -> Samples:
    """The samples at a lower rate."""
    return np.asarray(soxr.resample(samples, rate, to), np.float32)


def noise(size: int, level_db: float, seed: int = 1) -> npt.NDArray[np.float32]:
    """White noise of this RMS relative to full scale."""
    drawn = np.random.default_rng(seed).normal(0, 10 ** (level_db / 20), size)
    return drawn.astype(np.float32)


def with_pauses(samples: Samples, rate: int) -> Samples:
    """The samples with a second of silence before, in the middle and after."""
    pause = np.zeros(rate, np.float32)
    half = samples.size // 2
    return np.concatenate([pause, samples[:half], pause, samples[half:], pause])


def behind(samples: Samples, other: npt.NDArray[np.floating], distance_db: float) -> Samples:
    """The samples with something else that much below them, both by their root mean square over what is not silent."""
    heard = samples[np.abs(samples) > 1e-4]
    scale = np.sqrt(np.mean(heard**2)) / np.sqrt(np.mean(other**2)) * 10 ** (-distance_db / 20)
    mixed = samples + np.resize(other, samples.size) * scale
    return np.asarray(mixed / max(1.0, float(np.abs(mixed).max())), np.float32)


def in_room(samples: Samples, rate: int, *, seconds: float, direct_db: float, seed: int = 1) -> Samples:
    """The samples in a room that dies away by 60 dB in `seconds`, its echo `direct_db` below the direct sound."""
    times = np.arange(int(rate * seconds * 1.2)) / rate
    echo = np.random.default_rng(seed).normal(0, 1, times.size) * 10 ** (-3 * times / seconds)
    echo *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(echo**2))
    echo[0] = 1
    size = 1 << (samples.size + echo.size).bit_length()
    heard = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(echo, size), size)[: samples.size]
    return np.asarray(heard / np.abs(heard).max() * 0.7, np.float32)


def music(size: int, rate: int) -> npt.NDArray[np.float64]:
    """Four chords, each of three tones with five partials, round and round."""
    played = np.zeros(size)
    for index, start in enumerate(range(0, size, int(0.8 * rate))):
        times = np.arange(min(int(0.8 * rate), size - start)) / rate
        for tone in ((60, 64, 67), (57, 60, 64), (65, 69, 72), (55, 59, 62))[index % 4]:
            hertz = 440 * 2 ** ((tone - 69) / 12)
            for partial in range(1, 6):
                played[start : start + times.size] += np.sin(2 * np.pi * hertz * partial * times) / partial
    return played


def hum(size: int, rate: int, mains: int) -> npt.NDArray[np.float64]:
    """The mains and four of their harmonics."""
    times = np.arange(size) / rate
    return sum(np.sin(2 * np.pi * mains * n * times + n) / n for n in (1, 2, 3, 5, 6)) + np.zeros(size)


def murmur(samples: Samples, seed: int = 1) -> Samples:
    """Eight copies of the speech at other times and speeds on top of each other."""
    random = np.random.default_rng(seed)
    voices = [np.asarray(soxr.resample(samples, 24000, random.uniform(19000, 30000)), np.float32) for _ in range(8)]
    return sum(np.resize(np.roll(voice, random.integers(voice.size)), samples.size) for voice in voices)
