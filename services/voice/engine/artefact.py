"""What a learnt voice is kept as: a header in JSON and numbers in float32; no pickle, nothing that runs.

Layout: `VMVOICE1`, the header's length (4 bytes, little-endian), the header, the arrays it lists one after the
other (little-endian float32), and the SHA-256 of all before it.
"""

import hashlib
import json
import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .errors import ArtefactCorrupt, ArtefactMismatch
from .pitch import Pitch
from .port import Level

MAGIC: Final = b"VMVOICE1"
_ARRAYS: Final = {"weights": None, "equaliser": 64, "embedding": 256}
_DIGEST: Final = 32
_MOST_VOICES: Final = 64


@dataclass(frozen=True)
class Voice:
    """A voice as pipeline v1 knows it."""

    stock: tuple[str, ...]
    """Stock voices, best first, that are mixed."""
    weights: npt.NDArray[np.float32]
    """(len(stock),) shares of the mix, summing to 1."""
    pitch: Pitch
    equaliser: npt.NDArray[np.float32]
    """(64,) as `equaliser.difference` gives."""
    gain: float
    """Brings the mix, equalised, to the target loudness."""
    baseline: tuple[str, ...]
    """The three stock voices that resemble the reference most, for comparison."""
    embedding: npt.NDArray[np.float32]
    """(256,) GE2E of the reference."""


def dump(voice: Voice, *, engine: str, model_hash: str) -> bytes:
    """The artefact's bytes, about 2 KB."""
    header = {
        "engine": engine,
        "model_hash": model_hash,
        "level": Level.INSTANT.value,
        "stock": list(voice.stock),
        "baseline": list(voice.baseline),
        "pitch": [voice.pitch.median, voice.pitch.spread],
        "gain": voice.gain,
    }
    encoded = json.dumps(header, separators=(",", ":")).encode()
    arrays = b"".join(np.asarray(getattr(voice, name), "<f4").tobytes() for name in _ARRAYS)
    body = MAGIC + struct.pack("<I", len(encoded)) + encoded + arrays
    return body + hashlib.sha256(body).digest()


def load(data: bytes, *, engine: str, model_hash: str) -> Voice:
    """The voice of these bytes. Raises ArtefactCorrupt, and ArtefactMismatch for another engine's or model's."""
    header, arrays = _parts(data)
    if (header["engine"], header["model_hash"]) != (engine, model_hash):
        raise ArtefactMismatch(
            f"the voice was made by {header['engine']} ({str(header['model_hash'])[:12]}) and this is {engine} "
            f"({model_hash[:12]}): learn it again from its recordings",
            made_by=str(header["engine"]),
            engine=engine,
        )
    if header["level"] != Level.INSTANT.value:
        raise ArtefactMismatch(f"this engine does not know voices of level {header['level']}")
    try:
        sizes = [size or len(header["stock"]) for size in _ARRAYS.values()]
        numbers = np.frombuffer(arrays, "<f4").astype(np.float32)
        if numbers.size != sum(sizes) or not 1 <= len(header["stock"]) <= _MOST_VOICES:
            raise ArtefactCorrupt()
        weights, gains, embedding = np.split(numbers, np.cumsum(sizes)[:-1])
        median, spread = header["pitch"]
        return Voice(
            stock=tuple(map(str, header["stock"])),
            weights=weights,
            pitch=Pitch(float(median), float(spread)),
            equaliser=gains,
            gain=float(header["gain"]),
            baseline=tuple(map(str, header["baseline"])),
            embedding=embedding,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactCorrupt() from error


def describe(data: bytes) -> dict[str, Any]:
    """The header: engine, model_hash, level and more. Raises ArtefactCorrupt."""
    return _parts(data)[0]


def _parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    start = len(MAGIC) + 4
    if data[: len(MAGIC)] != MAGIC or len(data) < start + _DIGEST:
        raise ArtefactCorrupt()
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise ArtefactCorrupt("the voice artefact is damaged: its checksum does not match")
    (length,) = struct.unpack_from("<I", data, len(MAGIC))
    try:
        header = json.loads(body[start : start + length])
        known = {"engine", "model_hash", "level"} <= set(header)
    except (ValueError, TypeError) as error:
        raise ArtefactCorrupt() from error
    if not known:
        raise ArtefactCorrupt()
    return header, body[start + length :]
