"""Streaming audio encoders: samples in, bytes of a file or stream out, a sentence at a time.

WAV has two shapes: a stream, whose header says "length unknown" (0xFFFFFFFF) because it leaves before the
audio is made, and a finished file with true lengths (`file=`, or the function `encode`).
"""

import io
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import IO, Any, Final, Protocol

import av
import numpy as np
import soxr  # type: ignore[import-untyped]
from av.audio.stream import AudioStream

from .errors import FormatUnsupported
from .port import Samples

UNKNOWN_LENGTH: Final = 0xFFFFFFFF
_STREAMING: Final[Mapping[str, dict[str, str]]] = {
    # A stream cannot go back to fill in the MP3 length header; none at all is better than one that says zero.
    "mp3": {"write_xing": "0"},
    # Ogg holds pages back for a second unless told otherwise (microseconds).
    "opus": {"page_duration": "200000"},
}
_PCM_RATES: Final = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True)
class Format:
    """One audio format that can be written."""

    name: str
    content_type: str
    extension: str
    sample_rates: tuple[int, ...]
    """Allowed rates in Hz; the engine's 24 kHz is always among them."""
    container: str | None = None
    codec: str | None = None
    bit_rate: int | None = None
    codec_rate: int | None = None
    """The one rate the codec itself runs at, whatever rate was asked for (Opus: 48 kHz)."""


FORMATS: Final[Mapping[str, Format]] = MappingProxyType(
    {
        format.name: format
        for format in (
            Format("wav", "audio/wav", "wav", _PCM_RATES),
            Format("pcm", "audio/pcm", "pcm", _PCM_RATES),
            Format("flac", "audio/flac", "flac", _PCM_RATES, "flac", "flac"),
            Format("mp3", "audio/mpeg", "mp3", (16000, 22050, 24000, 32000, 44100, 48000), "mp3", "libmp3lame", 64000),
            Format("opus", "audio/ogg", "ogg", (8000, 12000, 16000, 24000, 48000), "ogg", "libopus", 32000, 48000),
            Format("aac", "audio/aac", "aac", (16000, 22050, 24000, 32000, 44100, 48000), "adts", "aac", 64000),
        )
    }
)


class Encoder(Protocol):
    """Turns samples at the engine's rate into bytes of one format; used once, from one thread."""

    @property
    def content_type(self) -> str:
        """The media type of the bytes, such as `audio/mpeg`."""
        ...

    def feed(self, samples: Samples) -> bytes:
        """The bytes that are ready after these samples; may be empty."""
        ...

    def finish(self) -> bytes:
        """The last bytes; the encoder is spent."""
        ...


def encoder(
    name: str,
    *,
    source_rate: int,
    sample_rate: int | None = None,
    bit_rate: int | None = None,
    file: IO[bytes] | None = None,
) -> Encoder:
    """An encoder for the format of this name (a key of FORMATS).

    `sample_rate` (Hz) defaults to the source's; `bit_rate` (bit/s) to the format's own. With a `file`
    (seekable), everything is written there, its headers with true lengths once it is finished, and no bytes are given.
    Raises FormatUnsupported.
    """
    format = FORMATS.get(name)
    if format is None:
        raise FormatUnsupported(f"unknown audio format {name!r}; known: {', '.join(FORMATS)}", format=name)
    rate = sample_rate or source_rate
    if rate not in format.sample_rates:
        allowed = ", ".join(map(str, format.sample_rates))
        raise FormatUnsupported(f"{name} is written at {allowed} Hz, not {rate}", format=name, sample_rate=str(rate))
    if format.container is None:
        return _Pcm(format, source_rate, rate, file)
    return _Compressed(format, source_rate, rate, bit_rate or format.bit_rate, file)


def encode(
    audio: Iterable[Samples],
    name: str,
    *,
    source_rate: int,
    sample_rate: int | None = None,
    bit_rate: int | None = None,
) -> bytes:
    """A finished file of the whole audio, with true lengths in its header. Raises FormatUnsupported."""
    file = io.BytesIO()
    into = encoder(name, source_rate=source_rate, sample_rate=sample_rate, bit_rate=bit_rate, file=file)
    for samples in audio:
        into.feed(samples)
    into.finish()
    return file.getvalue()


def wav_header(data_bytes: int, sample_rate: int) -> bytes:
    """The 44 bytes before mono 16-bit WAV data of this length; UNKNOWN_LENGTH for a stream."""
    riff = UNKNOWN_LENGTH if data_bytes == UNKNOWN_LENGTH else data_bytes + 36
    form = struct.pack("<IHHIIHH", 16, 1, 1, sample_rate, sample_rate * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + form + b"data" + struct.pack("<I", data_bytes)


class _Rate:
    """Resamples a stream without seams; passes it through when the rates are equal."""

    def __init__(self, source: int, target: int) -> None:
        self._stream = None if source == target else soxr.ResampleStream(source, target, 1, dtype="float32")

    def __call__(self, samples: Samples, *, last: bool = False) -> Samples:
        mono = np.ascontiguousarray(samples, np.float32).ravel()
        if self._stream is None:
            return mono
        return np.asarray(self._stream.resample_chunk(mono, last=last), np.float32)


def _int16(samples: Samples) -> bytes:
    return (np.clip(samples, -1.0, 1.0) * 32767.0).round().astype("<i2").tobytes()


class _Pcm:
    def __init__(self, format: Format, source_rate: int, rate: int, file: IO[bytes] | None) -> None:
        self._headed = format.name == "wav"
        # Raw samples say nothing of themselves, so their media type must.
        self.content_type = format.content_type if self._headed else f"{format.content_type};rate={rate};channels=1"
        self._file = file
        self._length = 0
        self._sent_header = not self._headed
        self._rate = rate
        self._resample = _Rate(source_rate, rate)

    def feed(self, samples: Samples) -> bytes:
        return self._out(_int16(self._resample(samples)))

    def finish(self) -> bytes:
        rest = self._out(_int16(self._resample(np.zeros(0, np.float32), last=True)))
        if self._file is not None and self._headed:
            self._file.seek(0)
            self._file.write(wav_header(self._length, self._rate))
            self._file.seek(0, io.SEEK_END)
        return rest

    def _out(self, data: bytes) -> bytes:
        self._length += len(data)
        if not self._sent_header:
            self._sent_header = True
            data = wav_header(UNKNOWN_LENGTH, self._rate) + data
        if self._file is None:
            return data
        self._file.write(data)
        return b""


class _Pipe(io.RawIOBase):
    """What the muxer writes into; not seekable, so that it never goes back to patch a header."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class _Compressed:
    def __init__(
        self, format: Format, source_rate: int, rate: int, bit_rate: int | None, file: IO[bytes] | None
    ) -> None:
        self.content_type = format.content_type
        codec_rate = format.codec_rate or rate
        self._resamplers = [_Rate(source_rate, rate), _Rate(rate, codec_rate)]
        self._pipe = _Pipe() if file is None else None
        self._container = av.open(
            file or self._pipe,
            "w",
            format=format.container,
            options=_STREAMING.get(format.name, {}) if file is None else {},
        )
        stream = self._container.add_stream(format.codec or format.name, rate=codec_rate, layout="mono")
        if not isinstance(stream, AudioStream):
            raise FormatUnsupported(f"{format.name} is not an audio format", format=format.name)
        self._stream = stream
        if bit_rate:
            self._stream.bit_rate = bit_rate
        self._codec_rate = codec_rate
        self._position = 0

    def feed(self, samples: Samples) -> bytes:
        self._encode(samples, last=False)
        return self._taken()

    def finish(self) -> bytes:
        self._encode(np.zeros(0, np.float32), last=True)
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._taken()

    def _encode(self, samples: Samples, *, last: bool) -> None:
        for resample in self._resamplers:
            samples = resample(samples, last=last)
        if not samples.size:
            return
        pcm = (np.clip(samples, -1.0, 1.0) * 32767.0).round().astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = self._codec_rate
        frame.time_base = Fraction(1, self._codec_rate)
        frame.pts = self._position
        self._position += pcm.size
        self._container.mux(self._stream.encode(frame))

    def _taken(self) -> bytes:
        return b"" if self._pipe is None else self._pipe.take()
