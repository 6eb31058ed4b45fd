"""What a learnt voice is kept as: a header in JSON and numbers in float32; no pickle, nothing that runs.

Layout: `VMVOICE1`, the header's length (4 bytes, little-endian), the header, the arrays it lists one after the
other (little-endian float32; what was fitted in float16), and the SHA-256 of all before it.
"""

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .errors import ArtefactCorrupt, ArtefactMismatch
from .pitch import Pitch
from .port import Level

MAGIC: Final = b"VMVOICE1"
_ARRAYS: Final = {"weights": None, "equaliser": 64, "embedding": 256, "timbre": 128, "fast.equaliser": 64}
_DIGEST: Final = 32
_MOST_VOICES: Final = 64
_MOST_FITTED: Final = 16_000_000
"""Numbers: far beyond what the high setting makes."""


@dataclass(frozen=True)
class Fitted:
    """What the studio level learnt: the decoder's own numbers, for this person."""

    affines: npt.NDArray[np.float32]
    """(37396,)"""
    differences: Mapping[str, npt.NDArray[np.float32]]
    """Low-rank factors of the convolutions, by name; none at the standard setting."""
    steps: int


@dataclass(frozen=True)
class FastShape:
    """What brings the one voice of the fast tier to this person."""

    equaliser: npt.NDArray[np.float32]
    """(64,) as `equaliser.difference` gives."""
    gain: float
    """Brings it, equalised, to the target loudness."""
    warp: float
    """Factor by which its formants are moved."""


@dataclass(frozen=True)
class Voice:
    """A voice as the engine knows it."""

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
    timbre: npt.NDArray[np.float32]
    """(128,) what is added to the mix's timbre."""
    fast: FastShape
    rate: float = 1.0
    """How much faster than the stock voices the person speaks."""
    fitted: Fitted | None = None
    """Of the studio level alone."""


def dump(voice: Voice, *, engine: str, model_hash: str) -> bytes:
    """The artefact's bytes: about 3 KB, fitted 75 KB, and some MB at the high setting."""
    fitted = {} if voice.fitted is None else {"affines": voice.fitted.affines, **voice.fitted.differences}
    header = {
        "engine": engine,
        "model_hash": model_hash,
        "level": (Level.INSTANT if voice.fitted is None else Level.STUDIO).value,
        "stock": list(voice.stock),
        "baseline": list(voice.baseline),
        "pitch": [voice.pitch.median, voice.pitch.spread],
        "gain": voice.gain,
        "rate": voice.rate,
        "fast": [voice.fast.gain, voice.fast.warp],
    }
    if voice.fitted is not None:
        header |= {"steps": voice.fitted.steps, "fitted": [[name, *array.shape] for name, array in fitted.items()]}
    arrays = b"".join(np.asarray(attrgetter(name)(voice), "<f4").tobytes() for name in _ARRAYS)
    arrays += b"".join(np.asarray(array, "<f2").tobytes() for array in fitted.values())
    return pack(header, arrays)


def load(data: bytes, *, engine: str, model_hash: str) -> Voice:
    """The voice of these bytes. Raises ArtefactCorrupt, and ArtefactMismatch for another engine's or model's."""
    header, arrays = unpack(data, engine=engine, model_hash=model_hash)
    if header["level"] not in (Level.INSTANT.value, Level.STUDIO.value):
        raise ArtefactMismatch(f"this engine does not know voices of level {header['level']}")
    try:
        sizes = [size or len(header["stock"]) for size in _ARRAYS.values()]
        if not 1 <= len(header["stock"]) <= _MOST_VOICES or len(arrays) < 4 * sum(sizes):
            raise ArtefactCorrupt()
        numbers = np.frombuffer(arrays[: 4 * sum(sizes)], "<f4").astype(np.float32)
        fitted = _fitted(header, arrays[4 * sum(sizes) :])
        weights, gains, embedding, timbre, shape = np.split(numbers, np.cumsum(sizes)[:-1])
        median, spread = header["pitch"]
        gain, warp = header["fast"]
        return Voice(
            stock=tuple(map(str, header["stock"])),
            weights=weights,
            pitch=Pitch(float(median), float(spread)),
            equaliser=gains,
            gain=float(header["gain"]),
            baseline=tuple(map(str, header["baseline"])),
            embedding=embedding,
            timbre=timbre,
            fast=FastShape(shape, float(gain), float(warp)),
            rate=float(header["rate"]),
            fitted=fitted,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactCorrupt() from error


def _fitted(header: Mapping[str, Any], data: bytes) -> Fitted | None:
    if header["level"] != Level.STUDIO.value:
        if data:
            raise ArtefactCorrupt()
        return None
    shapes = {str(name): tuple(int(size) for size in shape) for name, *shape in header["fitted"]}
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    if any(size <= 0 for shape in shapes.values() for size in shape) or sum(sizes) > _MOST_FITTED:
        raise ArtefactCorrupt()
    if len(data) != 2 * sum(sizes):
        raise ArtefactCorrupt()
    numbers = np.frombuffer(data, "<f2").astype(np.float32)
    parts = np.split(numbers, np.cumsum(sizes)[:-1])
    arrays = {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
    return Fitted(arrays.pop("affines"), arrays, int(header["steps"]))


def describe(data: bytes) -> dict[str, Any]:
    """The header: engine, model_hash, level and more. Raises ArtefactCorrupt."""
    return _parts(data)[0]


def pack(header: Mapping[str, Any], content: bytes) -> bytes:
    """An artefact of any engine: the header must have `engine`, `model_hash` and `level`; the rest is its own."""
    encoded = json.dumps(header, separators=(",", ":")).encode()
    body = MAGIC + struct.pack("<I", len(encoded)) + encoded + content
    return body + hashlib.sha256(body).digest()


def unpack(data: bytes, *, engine: str, model_hash: str) -> tuple[dict[str, Any], bytes]:
    """Header and content of an artefact that `pack` made. Raises ArtefactCorrupt, and ArtefactMismatch for another
    engine's or model's."""
    header, content = _parts(data)
    if (header["engine"], header["model_hash"]) != (engine, model_hash):
        raise ArtefactMismatch(
            f"the voice was made by {header['engine']} ({str(header['model_hash'])[:12]}) and this is {engine} "
            f"({model_hash[:12]}): learn it again from its recordings",
            made_by=str(header["engine"]),
            engine=engine,
        )
    return header, content


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
