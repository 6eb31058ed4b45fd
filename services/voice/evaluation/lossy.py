"""Codecs that speech goes through on its way: telephone, mobile, internet and music."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
import soxr  # type: ignore[import-untyped]

from services.voice.engine.port import Samples

RATE: Final = 16000
_ANY_SIZE: Final = 160


@dataclass(frozen=True)
class Codec:
    """How FFmpeg names the two halves of a codec, and how it is run."""

    encoder: str
    decoder: str
    rate: int
    bit_rate: int = 0
    """In bit/s; 0 where the codec has only one."""


CODECS: Final = {
    "pcm": None,
    "mulaw": Codec("pcm_mulaw", "pcm_mulaw", 8000),
    "amr-nb": Codec("libopencore_amrnb", "amrnb", 8000, 12200),
    "g722": Codec("g722", "g722", 16000),
    "opus": Codec("libopus", "opus", 16000, 20000),
    "mp3": Codec("libmp3lame", "mp3float", 16000, 40000),
}
"""By their usual names: G.711 of the telephone, AMR of the mobile, G.722 of office telephones, Opus of calls over
the internet, MP3 of recordings; and none."""


def through_codec(samples: Samples, name: str) -> Samples:
    """Mono speech at RATE Hz as it is after the codec of CODECS: a few ms late, of the same length."""
    codec = CODECS[name]
    if codec is None:
        return samples
    given = np.asarray(soxr.resample(samples, RATE, codec.rate), np.float32)
    frames = list(_decoded(given, codec))
    joined = np.concatenate([_floats(np.asarray(frame.to_ndarray())) for frame in frames])
    # Opus comes out at 48 kHz whatever went in.
    back = np.asarray(soxr.resample(joined, frames[0].sample_rate, RATE), np.float32)[: samples.size]
    return np.pad(back, (0, samples.size - back.size))


def _decoded(samples: Samples, codec: Codec) -> Iterator[Any]:
    encoder: Any = av.CodecContext.create(codec.encoder, "w")
    # AMR and G.711 take 16-bit samples alone, MP3 planar ones; each says what it can.
    formats = [known.name for known in encoder.codec.audio_formats]
    kind = "s16" if "s16" in formats else "s16p"
    encoder.sample_rate, encoder.layout, encoder.format = codec.rate, "mono", kind
    if codec.bit_rate:
        encoder.bit_rate = codec.bit_rate
    encoder.open()
    decoder: Any = av.CodecContext.create(codec.decoder, "r")
    decoder.sample_rate, decoder.layout = codec.rate, "mono"
    if encoder.extradata:
        decoder.extradata = encoder.extradata
    size = encoder.frame_size or _ANY_SIZE
    whole = np.pad(samples, (0, -samples.size % size))
    for start in range(0, whole.size, size):
        numbers = np.clip(whole[start : start + size] * 32767, -32768, 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(numbers[None], kind, "mono")
        frame.sample_rate, frame.pts = codec.rate, start
        for packet in encoder.encode(frame):
            yield from decoder.decode(packet)
    for packet in encoder.encode(None):
        yield from decoder.decode(packet)
    yield from decoder.decode(None)


def _floats(part: Any) -> Samples:
    flat = part.ravel()
    return np.asarray(flat / 32768 if flat.dtype == np.int16 else flat, np.float32)
