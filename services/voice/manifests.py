"""Manifests: what a file says of its own origin, signed (C2PA specification 2.2), put in and read again.

A manifest is bound to the bytes of the file by their hash. It stays with the file wherever that goes, unless
somebody takes it out.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version
from typing import IO, Any, Final

import c2pa  # type: ignore[import-untyped]

from services.voice.receipts import SYNTHETIC, Origin
from services.voice.signing import Anchors, Credential, unavailable

CONTENT_TYPES: Final = frozenset({"audio/wav", "audio/mpeg", "audio/flac"})
"""What can carry a manifest. Opus in Ogg cannot: C2PA 2.2 has no place for one in Ogg; and PCM has no place for
anything."""
LABEL: Final = "internal.voicemesh.origin"
"""The assertion that names voice, consent and engine."""
_SIGNERS = {"EdDSA": "ed25519", "ES256": "es256"}


class State(StrEnum):
    """How a file and its manifest agree."""

    INTACT = "INTACT"
    """The manifest is ours, and the file is the one that it was made for."""
    CHANGED = "CHANGED"
    """The manifest is ours, and the file is not the one that it was made for."""


@dataclass(frozen=True)
class Manifest:
    """A manifest of ours."""

    state: State
    origin: Origin | None
    """None where the manifest itself was tampered with, so that nothing it says can be believed."""
    made_at: datetime | None
    """None likewise."""


def embed(
    source: IO[bytes], target: IO[bytes], content_type: str, origin: Origin, made_at: datetime, credential: Credential
) -> None:
    """Writes to `target` the file in `source` with a manifest in it. Blocks; for a thread.

    Raises:
        Unavailable: it could not be signed (SIGNING_UNAVAILABLE).
    """
    definition = {
        "claim_generator_info": [{"name": "VoiceMesh", "version": _version()}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {
                    "actions": [
                        {
                            "action": "c2pa.created",
                            "when": made_at.isoformat(timespec="seconds"),
                            "digitalSourceType": SYNTHETIC,
                            "softwareAgent": {"name": origin.engine, "version": origin.model_hash},
                        }
                    ]
                },
            },
            {
                "label": LABEL,
                "data": {
                    "voice": origin.voice,
                    "consent": origin.consent,
                    "engine": origin.engine,
                    "model_hash": origin.model_hash,
                    "make_time": made_at.isoformat(timespec="seconds"),
                },
            },
        ],
    }
    source.seek(0)
    try:
        info = c2pa.C2paSignerInfo(_SIGNERS[credential.algorithm], credential.chain_pem, credential.key_pem, None)
        with (
            _context(credential.anchors) as context,
            c2pa.Signer.from_info(info) as signer,
            c2pa.Builder.from_json(definition, context=context) as builder,
        ):
            builder.sign(signer, content_type, source, target)
    except c2pa.C2paError as error:
        raise unavailable() from error


def find(file: IO[bytes], anchors: Anchors) -> Manifest | None:
    """The manifest of ours that a file carries, None if it carries none. Blocks; for a thread.

    Nothing that the file says is fetched. A manifest that names one of ours as what it was made from is not ours.
    """
    content_type = kind(file)
    if content_type is None:
        return None
    file.seek(0)
    try:
        with _context(anchors) as context, c2pa.Reader(content_type, file, context=context) as reader:
            told: dict[str, Any] = json.loads(reader.json())
    except (c2pa.C2paError, ValueError):
        return None
    codes = told.get("validation_results", {}).get("activeManifest", {})
    good = {each["code"] for each in codes.get("success", [])}
    bad = {each["code"] for each in codes.get("failure", [])}
    if not {"signingCredential.trusted", "claimSignature.validated"} <= good or bad & _NOT_OURS:
        return None
    if bad - {_OTHER_BYTES}:
        return Manifest(State.CHANGED, None, None)
    said = _said(told)
    if said is None:
        return None
    return Manifest(State.INTACT if "assertion.dataHash.match" in good and not bad else State.CHANGED, *said)


_PIECE = 1 << 20
_OTHER_BYTES = "assertion.dataHash.mismatch"
_NOT_OURS = {"signingCredential.untrusted", "signingCredential.invalid", "claimSignature.mismatch"}


def kind(file: IO[bytes]) -> str | None:
    """The media type of a file that can carry a manifest, told by its first bytes; None for any other."""
    file.seek(0)
    head = file.read(4)
    if head == b"RIFF":
        return "audio/wav"
    begins = _after_tag(file)
    if not begins:
        return None
    file.seek(begins)
    return "audio/flac" if file.read(4) == b"fLaC" else "audio/mpeg"


def sound(file: IO[bytes]) -> str | None:
    """SHA-256 of the sound of a WAV, MP3 or FLAC file, less what stands around it; None for any other. For a thread.

    It is the same with a manifest and without, whoever has taken it out: the bytes of the data chunk of a WAV file, and
    all that follows the ID3 tag of the others.
    """
    file.seek(0)
    head = file.read(12)
    digest = hashlib.sha256()
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        length = _data_chunk(file)
        if length is None:
            return None
        while length > 0 and (piece := file.read(min(length, _PIECE))):
            digest.update(piece)
            length -= len(piece)
        return digest.hexdigest()
    file.seek(_after_tag(file))
    piece = file.read(_PIECE)
    if piece[:4] != b"fLaC" and not (len(piece) > 1 and piece[0] == 0xFF and piece[1] & 0xE0 == 0xE0):
        return None
    while piece:
        digest.update(piece)
        piece = file.read(_PIECE)
    return digest.hexdigest()


def _after_tag(file: IO[bytes]) -> int:
    """Where an ID3 tag at the beginning ends, 0 where there is none (ID3 tag version 2.4.0, section 3.1)."""
    file.seek(0)
    head = file.read(10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def _data_chunk(file: IO[bytes]) -> int | None:
    """Stops at the beginning of the data of a WAV file; how many bytes it says that there are."""
    file.seek(12)
    while len(head := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", head)
        if name == b"data":
            return int(length)
        file.seek(length + length % 2, 1)
    return None


def _said(told: dict[str, Any]) -> tuple[Origin, datetime] | None:
    manifest = told["manifests"][told["active_manifest"]]
    data = next((each["data"] for each in manifest.get("assertions", []) if each.get("label") == LABEL), None)
    if not isinstance(data, dict):
        return None
    try:
        origin = Origin(*(str(data[each]) for each in ("voice", "consent", "engine", "model_hash")))
        return origin, datetime.fromisoformat(str(data["make_time"]))
    except (KeyError, ValueError):
        return None


def _context(anchors: Anchors) -> Any:
    return c2pa.Context.from_dict(
        {
            "trust": {"user_anchors": anchors.pem},
            "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
            "core": {"allowed_network_hosts": []},
            "builder": {"thumbnail": {"enabled": False}},
        }
    )


def _version() -> str:
    try:
        return version("voicemesh")
    except PackageNotFoundError:
        return "0"
