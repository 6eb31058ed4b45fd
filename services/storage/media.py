"""Media: what a file is, told by its content alone.

Strangers choose what is read here, so only plain containers are opened (a playlist would make the reader open
other files and addresses), only audio is decoded, and reading is bounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import av
from av.container import InputContainer
from av.stream import Disposition

from services.mesh import errors

CONTAINERS = "wav,w64,aiff,au,flac,mp3,ogg,matroska,webm,mov,mp4,m4a,3gp,aac,amr,caf"
DECODERS = (
    "aac,alac,amrnb,amrwb,flac,mp3,mp3float,mp2,mp2float,opus,libopus,vorbis,ac3,eac3,wavpack,"
    "adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,gsm,gsm_ms,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,pcm_s16le,pcm_s16be,"
    "pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be"
)
_OPTIONS = {
    "format_whitelist": CONTAINERS,
    "codec_whitelist": DECODERS,
    "protocol_whitelist": "none",
    "max_streams": "32",
}
_SIMPLE = {
    "wav": "audio/wav",
    "w64": "audio/x-w64",
    "aiff": "audio/aiff",
    "au": "audio/basic",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "caf": "audio/x-caf",
}
_LONGEST_SECONDS = 10 * 365 * 86400.0
_BROKEN_PACKETS = 100
_RATES = range(4000, 384_001)
_MOST_CHANNELS = 16


@dataclass(frozen=True)
class Media:
    """What was found."""

    content_type: str
    seconds: float | None
    """How long it lasts, as the container says; None where it does not."""


def probe(file: BinaryIO, size: int) -> Media:
    """What the file is. Blocks; for a thread.

    Raises:
        InvalidArgument: it has no audio track of which anything can be decoded (NOT_AUDIO).
    """
    try:
        with av.open(_Bounded(file, size), "r", options=_OPTIONS, metadata_errors="ignore") as container:
            if _sounds(container):
                return Media(_content_type(container, file), _seconds(container))
    except (av.FFmpegError, ValueError, OSError, OverflowError):
        pass  # What is wrong with it is of no use to somebody who sent a picture.
    raise not_audio()


def not_audio() -> errors.InvalidArgument:
    """The refusal of a file that is none that we can use."""
    return errors.InvalidArgument("NOT_AUDIO", "this file holds no audio that can be decoded, whatever its name says")


def _sounds(container: InputContainer) -> bool:
    """Whether there is an audio track that decodes to at least one frame, of a rate and channels that can be used."""
    stream = next(iter(container.streams.audio), None)
    if stream is None or stream.codec_context.name not in DECODERS.split(","):
        return False
    broken = 0
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                if frame.samples:
                    return frame.sample_rate in _RATES and frame.layout.nb_channels <= _MOST_CHANNELS
        except av.InvalidDataError:
            broken += 1
            if broken > _BROKEN_PACKETS:
                return False
    return False


def _content_type(container: InputContainer, file: BinaryIO) -> str:
    name = container.format.name
    if name in _SIMPLE:
        return _SIMPLE[name]
    pictures = (stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic)
    kind = "audio" if next(pictures, None) is None else "video"
    if name == "ogg":
        return f"{kind}/ogg"
    if name == "matroska,webm":
        file.seek(0)
        webm = b"\x42\x82\x84webm" in file.read(128)  # The element DocType, RFC 8794 section 11.2.4
        return f"{kind}/webm" if webm else f"{kind}/x-matroska"
    brand = container.metadata.get("major_brand", "").strip()
    if brand == "qt" and kind == "video":
        return "video/quicktime"
    return f"{kind}/3gpp" if brand.startswith("3g") else f"{kind}/mp4"


def _seconds(container: InputContainer) -> float | None:
    if container.duration is None:
        return None
    seconds = container.duration / av.time_base
    return seconds if 0 < seconds <= _LONGEST_SECONDS else None


class _Bounded:
    """Reads a file a few times over and no more, so that no content keeps the reader busy for ever."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        file.seek(0)
        self._file = file
        self._left = 4 * size + (16 << 20)

    def read(self, size: int = -1) -> bytes:
        piece = self._file.read(size)
        self._left -= max(len(piece), 4096)
        if self._left < 0:
            raise OSError("read too much")
        return piece

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()
