"""Signing: the certificate and key with which this process vouches for what it has spoken, and whom it believes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from services.mesh import errors

Key: TypeAlias = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey
FILES = ("tls.key", "tls.crt", "ca.crt")
_LONGEST_CHAIN = 4


@dataclass(frozen=True)
class Anchors:
    """The authorities to be believed. One that signs for others too would make their work pass for ours."""

    certificates: tuple[x509.Certificate, ...]

    @classmethod
    def of(cls, pem: bytes) -> Anchors:
        """Those of a file of certificates.

        Raises:
            ValueError: there is none in it, or one that is not an authority's.
        """
        found = tuple(x509.load_pem_x509_certificates(pem))
        if not all(map(_is_authority, found)):
            raise ValueError("not all certificates are those of authorities")
        return cls(found)

    @property
    def pem(self) -> str:
        """All of them, in PEM."""
        return _pem(self.certificates)

    def believe(self, chain: Sequence[x509.Certificate], at: datetime) -> bool:
        """Whether a chain, the signer's certificate first, leads to one of them, each good at that time (RFC 5280)."""
        if not chain or len(chain) > _LONGEST_CHAIN or _is_authority(chain[0]):
            return False
        if not all(each.not_valid_before_utc <= at <= each.not_valid_after_utc for each in chain):
            return False
        if not all(_is_authority(each) and _issued(below, each) for below, each in pairwise(chain)):
            return False
        return any(
            anchor == chain[-1] or _issued(chain[-1], anchor)
            for anchor in self.certificates
            if anchor.not_valid_before_utc <= at <= anchor.not_valid_after_utc
        )


@dataclass(frozen=True)
class Credential:
    """A signer's key, its certificate and those above it."""

    key: Key
    chain: tuple[x509.Certificate, ...]
    """The signer's own first."""
    anchors: Anchors

    @property
    def algorithm(self) -> str:
        """The name of the signature algorithm in JOSE (RFC 7518, RFC 8037)."""
        return "EdDSA" if isinstance(self.key, ed25519.Ed25519PrivateKey) else "ES256"

    @property
    def chain_pem(self) -> bytes:
        """The chain, in PEM."""
        return _pem(self.chain).encode()

    @property
    def key_pem(self) -> bytes:
        """The key, in PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


class Signatory:
    """Reads the credential of a folder, and again when its files have been replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp: tuple[int, ...] = ()
        self._credential: Credential | None = None

    def credential(self) -> Credential:
        """The credential as it is now.

        Raises:
            Unavailable: there is none that can be used (SIGNING_UNAVAILABLE).
        """
        try:
            stamp = tuple((self._folder / name).stat().st_mtime_ns for name in FILES)
            if self._credential is None or stamp != self._stamp:
                self._credential, self._stamp = _read(self._folder), stamp
        except (OSError, ValueError, TypeError) as error:
            raise unavailable() from error
        return self._credential

    async def ping(self) -> None:
        """Lets pass if something can be signed.

        Raises:
            Unavailable: nothing can (SIGNING_UNAVAILABLE).
        """
        self.credential()


def unavailable() -> errors.Unavailable:
    """The refusal to let go of what cannot be vouched for."""
    return errors.Unavailable("SIGNING_UNAVAILABLE", "what is spoken cannot be signed just now", retry_after=5)


def _read(folder: Path) -> Credential:
    key_pem, chain_pem, anchors_pem = ((folder / name).read_bytes() for name in FILES)
    key = serialization.load_pem_private_key(key_pem, password=None)
    chain = tuple(x509.load_pem_x509_certificates(chain_pem))
    p256 = isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    if not isinstance(key, ed25519.Ed25519PrivateKey) and not p256:
        raise ValueError("the key is neither of Ed25519 nor of P-256")
    if key.public_key() != chain[0].public_key():
        raise ValueError("the key is not that of the certificate")
    assert isinstance(key, ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey)
    return Credential(key, chain, Anchors.of(anchors_pem))


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except (x509.ExtensionNotFound, ValueError):
        return False


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _pem(certificates: Sequence[x509.Certificate]) -> str:
    return "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in certificates)
