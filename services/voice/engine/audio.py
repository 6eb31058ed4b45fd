"""Decodes any file with an audio track, found by content, never by name, in bounded time and memory."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import av
import numpy as np
import soxr  # type: ignore[import-untyped]
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from .containers import missing_bytes
from .errors import NotAudio, TooLong, Truncated
from .port import Samples

DECODERS: Final = "wav,w64,aiff,flac,mp3,ogg,matroska,webm,mov,mp4,m4a,3gp,aac,amr,caf,au"
"""Only plain containers: a playlist would make the decoder open other files and addresses."""

FULL_SCALE: Final = 0.995
_MINIMUM_RATE, _MAXIMUM_RATE, _MAXIMUM_CHANNELS = 4000, 384_000, 16
_TOLERANCE_S: Final = 0.25
_MOST_UNREADABLE: Final = 100


@dataclass(frozen=True)
class Recording:
    """One decoded file."""

    samples: Samples
    """Mono (the mean of the channels), at the rate asked for."""
    seconds: float
    sample_rate: int
    """Of the file, in Hz."""
    channels: int
    codec: str
    container: str
    clipped: float
    """Share of the file's samples at full scale, 0 to 1."""


def decode(data: bytes, *, sample_rate: int, maximum_seconds: float = 600.0) -> Recording:
    """The first audio track, mixed down and resampled to `sample_rate` Hz.

    Decoding stops, with TooLong, at `maximum_seconds`: a small file can announce days of silence. Memory is
    4 bytes a sample at `sample_rate` plus one frame of the file. Raises NotAudio, Truncated, TooLong.
    """
    missing = missing_bytes(data)
    try:
        with av.open(io.BytesIO(data), "r", options=_OPTIONS, metadata_errors="ignore") as container:
            recording = _read(container, sample_rate, maximum_seconds)
    except (av.FFmpegError, UnicodeError, ValueError, OSError) as error:
        if missing:
            raise _truncated(missing) from error
        raise NotAudio(f"this file holds no audio that can be decoded ({_why(error)})") from error
    if missing:
        raise _truncated(missing)
    return recording


_OPTIONS: Final = {"format_whitelist": DECODERS, "protocol_whitelist": "none"}


def _read(container: InputContainer, sample_rate: int, maximum_seconds: float) -> Recording:
    stream = next(iter(container.streams.audio), None)
    if stream is None:
        raise NotAudio("this file holds no audio track")
    announced = _announced(container, stream)
    if announced is not None and announced > maximum_seconds + _TOLERANCE_S:
        raise _too_long(maximum_seconds)
    mixer = _Mixer(sample_rate, maximum_seconds)
    damaged = _decode(container, stream, mixer)
    samples = mixer.finish()
    seconds = mixer.seconds
    if not samples.size:
        raise NotAudio("the audio track of this file holds nothing that can be decoded")
    if announced is not None and announced - seconds > max(_TOLERANCE_S, 0.01 * announced):
        raise Truncated(
            f"the file announces {announced:.1f} s of audio and holds {seconds:.1f} s: it is cut off or damaged",
            announced_seconds=f"{announced:.2f}",
            decoded_seconds=f"{seconds:.2f}",
        )
    if damaged:
        raise Truncated(f"the file breaks off after {seconds:.1f} s", decoded_seconds=f"{seconds:.2f}")
    return Recording(
        samples=samples,
        seconds=seconds,
        sample_rate=mixer.lowest_rate,
        channels=mixer.channels,
        codec=stream.codec_context.name,
        container=container.format.name,
        clipped=mixer.clipped,
    )


def _decode(container: InputContainer, stream: AudioStream, mixer: "_Mixer") -> bool:
    """Feeds every frame to the mixer; returns whether the file broke off before its end."""
    packets = container.demux(stream)
    unreadable = 0
    while unreadable < _MOST_UNREADABLE:
        try:
            packet = next(packets, None)
        except av.FFmpegError:
            return True
        if packet is None:
            return False
        try:
            for frame in packet.decode():
                mixer.add(frame)
        except av.InvalidDataError:
            # A bad packet is a click; the next one may be good.
            unreadable += 1
    return True


class _Mixer:
    """Mixes frames of any layout to mono and resamples them as they come."""

    def __init__(self, sample_rate: int, maximum_seconds: float) -> None:
        self._target = sample_rate
        self._maximum = maximum_seconds
        self._planar = av.AudioResampler(format="fltp")
        self._stream: soxr.ResampleStream | None = None
        self._rate = 0
        self._parts: list[Samples] = []
        self._counted = self._at_full_scale = 0
        self.seconds = 0.0
        self.channels = 0
        self.lowest_rate = _MAXIMUM_RATE

    def add(self, frame: AudioFrame) -> None:
        rate, channels = frame.sample_rate, frame.layout.nb_channels
        if not (_MINIMUM_RATE <= rate <= _MAXIMUM_RATE and 1 <= channels <= _MAXIMUM_CHANNELS):
            raise NotAudio(f"the audio has {channels} channels at {rate} Hz, which is out of range")
        for planar in self._converted(frame):
            planes = np.nan_to_num(planar.to_ndarray(), copy=False, posinf=1.0, neginf=-1.0)
            self._counted += planes.size
            self._at_full_scale += int(np.count_nonzero(np.abs(planes) >= FULL_SCALE))
            self.seconds += planes.shape[1] / rate
            if self.seconds > self._maximum + _TOLERANCE_S:
                raise _too_long(self._maximum)
            if self._stream is None or rate != self._rate:
                self._flush()
                self._rate = rate
                self._stream = soxr.ResampleStream(rate, self._target, 1, dtype="float32")
            self.channels = max(self.channels, channels)
            self.lowest_rate = min(self.lowest_rate, rate)
            mono = np.ascontiguousarray(planes.mean(axis=0, dtype=np.float32))
            self._parts.append(np.asarray(self._stream.resample_chunk(mono), np.float32))

    def finish(self) -> Samples:
        self._flush()
        return np.concatenate(self._parts) if self._parts else np.zeros(0, np.float32)

    @property
    def clipped(self) -> float:
        return self._at_full_scale / max(1, self._counted)

    def _converted(self, frame: AudioFrame) -> Iterator[AudioFrame]:
        try:
            yield from self._planar.resample(frame)
        except ValueError:
            # The track changed its rate or layout midway, which a resampler refuses.
            self._planar = av.AudioResampler(format="fltp")
            yield from self._planar.resample(frame)

    def _flush(self) -> None:
        if self._stream is not None:
            self._parts.append(np.asarray(self._stream.resample_chunk(np.zeros(0, np.float32), last=True), np.float32))
            self._stream = None


def _announced(container: InputContainer, stream: AudioStream) -> float | None:
    """Seconds of audio that the file says it holds, where it says so and not merely guesses from its size."""
    guesses = stream.codec_context.name in ("mp3", "mp3float", "aac") and container.format.name in ("mp3", "aac")
    if stream.duration is not None and stream.time_base is not None:
        announced = float(stream.duration * stream.time_base)
    elif container.duration is not None and not container.streams.video:
        announced = container.duration / av.time_base
    else:
        return None
    return None if guesses or announced <= 0 else announced


def _too_long(maximum_seconds: float) -> TooLong:
    return TooLong(
        f"the recording is longer than {maximum_seconds:g} s: send a part of it", maximum_seconds=f"{maximum_seconds:g}"
    )


def _truncated(missing: int) -> Truncated:
    return Truncated(
        f"the file is cut off: at least {missing} bytes are missing at its end", missing_bytes=str(missing)
    )


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).strip() or type(error).__name__
