"""Access tokens as auth makes them, and as it never would."""

from __future__ import annotations

import base64
import time
import uuid

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from voicemesh.auth.v1 import auth_pb2


class Issuer:
    """Signs tokens with the newest of its keys."""

    def __init__(self) -> None:
        self.keys: dict[str, Ed25519PrivateKey] = {}
        self.rotate()

    def rotate(self) -> str:
        """A new key, which signs from now on; its id."""
        self.kid = uuid.uuid4().hex
        self.keys[self.kid] = Ed25519PrivateKey.generate()
        return self.kid

    @property
    def raw(self) -> bytes:
        """The public key that verifies the tokens of now."""
        return self.keys[self.kid].public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def published(self) -> list[auth_pb2.JsonWebKey]:
        """The public keys as auth publishes them."""
        found = []
        for kid, key in self.keys.items():
            raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
            x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            found.append(auth_pb2.JsonWebKey(kty="OKP", crv="Ed25519", x=x, kid=kid, use="sig", alg="EdDSA"))
        return found

    def claims(self, **changed: object) -> dict[str, object]:
        """The claims of a good token, with some changed, or left out if changed to None."""
        now = int(time.time())
        claims = {
            "iss": "voicemesh",
            "aud": "voicemesh",
            "sub": "ada",
            "sid": "session-1",
            "jti": uuid.uuid4().hex,
            "iat": now,
            "exp": now + 900,
            "scope": "*",
            **changed,
        }
        return {key: value for key, value in claims.items() if value is not None}

    def token(self, **changed: object) -> str:
        """A token with these claims."""
        return jwt.encode(self.claims(**changed), self.keys[self.kid], algorithm="EdDSA", headers={"kid": self.kid})
