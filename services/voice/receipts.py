"""Receipts: signed statements that these bytes of audio are synthetic, whose voice it is, and by whose consent.

A receipt is a compact JWS (RFC 7515) with the certificates of its signer in it (`x5c`), so that whoever has the
authority's certificate can verify it without asking anybody.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from services.mesh import errors
from services.voice.signing import Anchors, Credential

SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's word for what a trained model has made, in receipts as in C2PA manifests."""
TYPE = "voicemesh-receipt+jwt"
ISSUER = "voicemesh"
LONGEST = 16 * 1024


@dataclass(frozen=True)
class Origin:
    """Where synthetic speech comes from. It names nobody: names and owners stay with the platform."""

    voice: str
    """Resource name, `voices/{voice}`."""
    consent: str
    """Resource name, `voices/{voice}/consent`."""
    engine: str
    model_hash: str
    """SHA-256 of the engine's models, hexadecimal."""


@dataclass(frozen=True)
class Receipt:
    """What is signed."""

    id: str
    sha256: str
    """Of all bytes of the audio, as they were sent or stored; 64 hexadecimal digits."""
    size: int
    """In bytes."""
    content_type: str
    origin: Origin
    made_at: datetime
    sound: str = ""
    """SHA-256 of the sound alone, without what stands around it in the file; empty where that is not told apart."""

    @property
    def name(self) -> str:
        """Resource name."""
        return name(self.id)


class Receipts(Protocol):
    """Where receipts are kept, so that audio is recognised."""

    async def keep(self, owner: str, receipt: Receipt, token: str) -> None:
        """Keeps a receipt of audio that was spoken at once."""

    async def get(self, owner: str, id: str) -> str | None:
        """A receipt of this owner, as it was signed."""

    async def of_audio(self, sha256: str) -> str | None:
        """The first receipt for bytes of this digest, whoever's it is."""

    async def of_sound(self, sha256: str) -> str | None:
        """The first receipt for a file whose sound has this digest, whoever's it is."""


class NotOurs(Exception):
    """This is no receipt, or none that is to be believed."""


def name(id: str) -> str:
    """The resource name of a receipt."""
    return f"receipts/{id}"


def origin(voice: str, engine: str, model_hash: str) -> Origin:
    """Of speech in the voice with this id."""
    return Origin(f"voices/{voice}", f"voices/{voice}/consent", engine, model_hash)


def issue(receipt: Receipt, credential: Credential) -> str:
    """The receipt, signed."""
    claims = {
        "iss": ISSUER,
        "jti": receipt.id,
        "iat": int(receipt.made_at.timestamp()),
        "sha256": receipt.sha256,
        "sound_sha256": receipt.sound,
        "size": receipt.size,
        "content_type": receipt.content_type,
        "digital_source_type": SYNTHETIC,
        "voice": receipt.origin.voice,
        "consent": receipt.origin.consent,
        "engine": receipt.origin.engine,
        "model_hash": receipt.origin.model_hash,
    }
    chain = [base64.b64encode(each.public_bytes(serialization.Encoding.DER)).decode() for each in credential.chain]
    return jwt.encode(claims, credential.key, algorithm=credential.algorithm, headers={"typ": TYPE, "x5c": chain})


def read(token: str, anchors: Anchors) -> Receipt:
    """What a receipt says, if it is to be believed.

    Raises:
        NotOurs: it is not.
    """
    try:
        if len(token) > LONGEST:
            raise NotOurs("it is too long to be a receipt")
        header = jwt.get_unverified_header(token)
        chain = [x509.load_der_x509_certificate(base64.b64decode(each, validate=True)) for each in header["x5c"]]
        key = chain[0].public_key()
        if header.get("typ") != TYPE or not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
            raise NotOurs("it is no receipt")
        # The algorithm is that of the key, whatever the token would have it be.
        algorithm = "EdDSA" if isinstance(key, ed25519.Ed25519PublicKey) else "ES256"
        claims = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=ISSUER,
            options={"require": ["iat", "jti", "iss"], "verify_iat": False},
        )
        receipt = _receipt(claims)
    except (jwt.PyJWTError, KeyError, IndexError, TypeError, ValueError, OverflowError, binascii.Error) as error:
        raise NotOurs("it is no receipt, or its signature is wrong") from error
    if not anchors.believe(chain, receipt.made_at):
        raise NotOurs("it is signed by somebody else")
    return receipt


def _receipt(claims: dict[str, Any]) -> Receipt:
    return Receipt(
        id=str(claims["jti"]),
        sha256=str(claims["sha256"]),
        size=int(claims["size"]),
        content_type=str(claims["content_type"]),
        origin=Origin(*(str(claims[each]) for each in ("voice", "consent", "engine", "model_hash"))),
        made_at=datetime.fromtimestamp(int(claims["iat"]), UTC),
        sound=str(claims.get("sound_sha256", "")),
    )


async def get(owner: str, id: str, *, store: Receipts) -> str:
    """A receipt of this owner, as it was signed.

    Raises:
        NotFound: there is none (RECEIPT_NOT_FOUND).
    """
    token = await store.get(owner, id)
    if token is None:
        raise errors.NotFound("RECEIPT_NOT_FOUND", f"there is no {name(id)}", name=name(id))
    return token
