"""Signing keys: Ed25519 (RFC 8032), kept encrypted in the database, shared by all replicas."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from services.mesh import names


@dataclass(frozen=True)
class StoredKey:
    """A signing key as the database has it."""

    id: str
    private: bytes
    """Raw private key, encrypted with the key encryption key."""


@dataclass(frozen=True)
class SigningKey:
    """A key that signs and verifies access tokens; its id goes into their header as `kid`."""

    id: str
    private: Ed25519PrivateKey

    @property
    def x(self) -> str:
        """The public key as in a JWK: base64url without padding (RFC 8037, section 2)."""
        raw = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


class KeyStore(Protocol):
    """Where signing keys are kept."""

    async def first_key_or(self, new: StoredKey) -> None:
        """Adds `new` if there is no key at all; one caller wins."""

    async def signing_keys(self) -> list[StoredKey]:
        """All keys that still verify tokens, newest first."""


class KeyRing:
    """Encrypts and decrypts signing keys.

    `key` is 32 random bytes in URL-safe base64.
    """

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(key)

    async def load(self, store: KeyStore) -> list[SigningKey]:
        """The keys, newest first, of which the newest signs; the first one is made where there is none.

        Raises:
            RuntimeError: they were encrypted with another key.
        """
        raw = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        await store.first_key_or(StoredKey(names.new_id(), self._fernet.encrypt(raw)))
        try:
            return [
                SigningKey(stored.id, Ed25519PrivateKey.from_private_bytes(self._fernet.decrypt(stored.private)))
                for stored in await store.signing_keys()
            ]
        except InvalidToken:
            raise RuntimeError("the signing keys were encrypted with another key encryption key") from None
