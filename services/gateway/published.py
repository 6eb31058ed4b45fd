"""The keys as auth publishes them (RFC 7517, RFC 8037)."""

from __future__ import annotations

import base64

import grpc.aio
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc

from services.gateway.keys import KeySet
from services.mesh import errors

CONTRACT = "voicemesh.auth.v1.AuthService"

log: structlog.stdlib.BoundLogger = structlog.get_logger("keys")


class PublishedKeys:
    """Auth, as far as the gateway needs it."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout_seconds: float) -> None:
        self._auth = auth_pb2_grpc.AuthServiceStub(channel)
        self._timeout = timeout_seconds

    async def fetch(self) -> KeySet:
        """The keys of today; one that cannot be read is left out.

        Raises:
            Unavailable: auth does not answer.
        """
        request = auth_pb2.GetJsonWebKeySetRequest()
        try:
            published = await self._auth.GetJsonWebKeySet(request, timeout=self._timeout)
        except grpc.aio.AioRpcError as error:
            raise errors.Unavailable("KEYS_UNAVAILABLE", f"auth: {error.details()}") from error
        keys = {}
        for key in published.keys:
            try:
                keys[key.kid] = _public_key(key)
            except ValueError:
                log.error("key not understood", kid=key.kid)
        return keys


def _public_key(key: auth_pb2.JsonWebKey) -> Ed25519PublicKey:
    if (key.kty, key.crv) != ("OKP", "Ed25519") or not key.kid:
        raise ValueError(key.kid)
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key.x + "=" * (-len(key.x) % 4)))
