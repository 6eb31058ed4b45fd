"""Verification: was this audio made here, and is it as it was?

- MADE_HERE: a receipt of ours is for just these bytes, or the file carries a manifest of ours that was made for it.
- ALTERED: the file carries a manifest of ours that was not made for it as it is; or a receipt of ours is for its sound
  alone, so that what was around it has been taken away; or a receipt of ours came with it that is for other bytes.
- UNKNOWN: none of these. Nothing can be said of it: a recording of the audio, or the audio encoded anew, is unknown.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import BinaryIO

import structlog

from services.mesh import errors
from services.voice import manifests, receipts
from services.voice.manifests import Manifest, State
from services.voice.receipts import NotOurs, Origin, Receipt, Receipts
from services.voice.signing import Anchors

log: structlog.stdlib.BoundLogger = structlog.get_logger("verification")

Inspect = Callable[[BinaryIO, Anchors], Manifest | None]
"""Finds the manifest of ours in a file; blocks."""


class Verdict(StrEnum):
    """What can be said of a file."""

    MADE_HERE = "MADE_HERE"
    ALTERED = "ALTERED"
    UNKNOWN = "UNKNOWN"


class Evidence(StrEnum):
    """What proves it."""

    NONE = "EVIDENCE_UNSPECIFIED"
    RECEIPT = "RECEIPT"
    MANIFEST = "MANIFEST"


@dataclass(frozen=True)
class Verification:
    """What can be said of a file, and where its audio comes from, as far as that is proven."""

    sha256: str
    verdict: Verdict = Verdict.UNKNOWN
    evidence: Evidence = Evidence.NONE
    origin: Origin | None = None
    made_at: datetime | None = None
    token: str = ""


@dataclass
class Sample:
    """A file that is to be verified, digested and counted as it comes in."""

    size: int = 0
    _digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)  # noqa: UP037 - no name at run time

    @property
    def sha256(self) -> str:
        """Of all its bytes, 64 hexadecimal digits."""
        return self._digest.hexdigest()

    def add(self, piece: bytes) -> None:
        """Takes in a piece."""
        self.size += len(piece)
        self._digest.update(piece)


async def of_digest(sha256: str, sound: str | None, anchors: Anchors, *, store: Receipts) -> Verification:
    """What can be said of a file of this digest, whose sound has the digest `sound` (in lower case, both)."""
    return judge(sha256, sound, None, await _kept(sha256, sound, anchors, store))


async def of_audio(
    pieces: AsyncIterator[bytes], anchors: Anchors, *, largest: int, inspect: Inspect, store: Receipts
) -> Verification:
    """What can be said of a file that comes in `pieces` and may have `largest` bytes.

    Raises:
        InvalidArgument: it has none (FILE_EMPTY), or too many (FILE_TOO_LARGE).
    """
    with tempfile.TemporaryFile() as file:
        sample = Sample()
        async for piece in pieces:
            if sample.size + len(piece) > largest:
                raise errors.InvalidArgument(
                    "FILE_TOO_LARGE",
                    f"a file to be verified may have {largest} bytes at most",
                    largest_file_bytes=str(largest),
                )
            sample.add(piece)
            await asyncio.to_thread(file.write, piece)
        if not sample.size:
            raise errors.InvalidArgument("FILE_EMPTY", "there is nothing in this file")
        sound = await asyncio.to_thread(manifests.sound, file)
        signed = await _kept(sample.sha256, sound, anchors, store)
        known = signed is not None and signed[0].sha256 == sample.sha256
        manifest = None if known else await asyncio.to_thread(inspect, file, anchors)
        return judge(sample.sha256, sound, manifest, signed)


def judge(
    sha256: str, sound: str | None, manifest: Manifest | None, signed: tuple[Receipt, str] | None
) -> Verification:
    """The verdict on a file of this digest, whose sound alone has the digest `sound`, by what is known of it.

    `signed` is a receipt that is to be believed, and its token: one that is for it, or one that came with it.
    """
    if signed is not None and signed[0].sha256 == sha256:
        receipt, token = signed
        return Verification(sha256, Verdict.MADE_HERE, Evidence.RECEIPT, receipt.origin, receipt.made_at, token)
    if manifest is not None:
        verdict = Verdict.MADE_HERE if manifest.state is State.INTACT else Verdict.ALTERED
        return Verification(sha256, verdict, Evidence.MANIFEST, manifest.origin, manifest.made_at)
    if signed is not None:
        receipt, token = signed
        # Of other bytes and another sound, it proves nothing of where this comes from.
        proven = sound is not None and sound == receipt.sound
        origin, made_at = (receipt.origin, receipt.made_at) if proven else (None, None)
        return Verification(sha256, Verdict.ALTERED, Evidence.RECEIPT, origin, made_at, token)
    return Verification(sha256)


async def _kept(sha256: str, sound: str | None, anchors: Anchors, store: Receipts) -> tuple[Receipt, str] | None:
    signed = _read(await store.of_audio(sha256), anchors)
    if signed is None and sound:
        return _read(await store.of_sound(sound), anchors)
    return signed


def _read(token: str | None, anchors: Anchors) -> tuple[Receipt, str] | None:
    """A receipt that was kept, if it is to be believed: who can write into the database cannot sign."""
    if token is None:
        return None
    try:
        return receipts.read(token, anchors), token
    except NotOurs:
        log.error("a receipt that was kept is not to be believed")
        return None
