"""Access tokens: EdDSA JSON Web Tokens that auth signs and the gateway verifies (RFC 7519, RFC 8725)."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jwt
from cachetools import TLRUCache
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.mesh import errors

ISSUER = "voicemesh"
AUDIENCE = "voicemesh"
ALGORITHM = "EdDSA"
REQUIRED = ("iss", "aud", "exp", "iat", "sub", "jti", "sid")
LONGEST = 4096
"""Ours have some 500 characters; what is longer is not looked at."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_SCOPE = re.compile(r"[a-z:*. -]{0,1000}")


@dataclass(frozen=True)
class Claims:
    """What a token says, once it is verified."""

    user: str
    session: str
    scope: str
    """Scopes, separated by spaces, or `*` for all."""
    expires: float


class KeySource(Protocol):
    """Where the keys are."""

    generation: int

    async def get(self, kid: str) -> Ed25519PublicKey | None:
        """The key with this id, None if there is none."""


class Verifier:
    """Verifies tokens, and remembers those that were good until they expire or the keys change."""

    def __init__(
        self, keys: KeySource, *, leeway_seconds: float, remembered: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = keys
        self._leeway = leeway_seconds
        self._good: TLRUCache[str, Claims] = TLRUCache(
            remembered, ttu=lambda _token, claims, _now: claims.expires + leeway_seconds, timer=clock
        )
        self._generation = keys.generation

    async def verify(self, token: str) -> Claims:
        """What the token says.

        Raises:
            Unauthenticated: it is not one of ours (TOKEN_INVALID), or no longer good (TOKEN_EXPIRED).
            Unavailable: its key cannot be fetched.
        """
        if self._generation != self._keys.generation:
            self._generation = self._keys.generation
            self._good.clear()
        claims = self._good.get(token)
        if claims is None:
            claims = await self._decode(token)
            self._good[token] = claims
        return claims

    async def _decode(self, token: str) -> Claims:
        if len(token) > LONGEST:
            raise _invalid()
        try:
            kid = jwt.get_unverified_header(token).get("kid")
            key = await self._keys.get(kid) if isinstance(kid, str) else None
            if key is None:
                raise _invalid()
            claims = jwt.decode(
                token,
                key,
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=self._leeway,
                options={"require": list(REQUIRED)},
            )
        except jwt.ExpiredSignatureError:
            raise errors.Unauthenticated("TOKEN_EXPIRED", "the access token has expired; refresh it") from None
        except (jwt.PyJWTError, ValueError):
            raise _invalid() from None
        user, session, scope = claims["sub"], claims["sid"], claims.get("scope", "")
        if not (_fits(_ID, user) and _fits(_ID, session) and _fits(_SCOPE, scope)):
            raise _invalid()  # They become headers.
        return Claims(user, session, scope, float(claims["exp"]))


def _fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _invalid() -> errors.Unauthenticated:
    """One answer, whatever is wrong with the token: an attacker learns nothing from it."""
    return errors.Unauthenticated("TOKEN_INVALID", "the access token is not good; sign in again")
