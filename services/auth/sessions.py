"""Sessions: an access token that says who one is for minutes, and a refresh token that renews it.

Access tokens are EdDSA JSON Web Tokens (RFC 7519, RFC 8037). Refresh tokens are 256 random bits, kept
only as a hash and good for one use: one that is used twice has been stolen, and ends the session
(RFC 9700, section 4.14).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import jwt

from services.auth.keys import SigningKey
from services.mesh import errors, names
from services.mesh.identity import ALL_SCOPES

ISSUER = "voicemesh"
AUDIENCE = "voicemesh"


@dataclass(frozen=True)
class Tokens:
    """What a session gives its person."""

    user: str
    access: str
    access_expires: datetime
    refresh: str
    refresh_expires: datetime


@dataclass(frozen=True)
class Refreshed:
    """What became of a refresh token that was shown."""

    user: str
    session: str
    reused: bool = False
    """It had been used before; the session has been ended."""


class SessionStore(Protocol):
    """Where sessions are kept."""

    async def add_session(self, session: str, user: str, refresh: bytes, expires: datetime) -> None:
        """Keeps a new session with the hash of its first refresh token."""

    async def refresh_session(self, shown: bytes, refresh: bytes, expires: datetime) -> Refreshed | None:
        """Replaces the refresh token with the hash `shown`; None if it is of no living session."""

    async def end_session(self, session: str, user: str) -> None:
        """Ends a session of a user."""


class Sessions:
    """Begins, renews and ends sessions."""

    def __init__(
        self, store: SessionStore, keys: Sequence[SigningKey], *, access: timedelta, refresh: timedelta
    ) -> None:
        self._store = store
        self._key = keys[0]
        self._access = access
        self._refresh = refresh

    async def begin(self, user: str) -> Tokens:
        """Signs a user in."""
        session, refresh, expires = names.new_id(), secrets.token_urlsafe(32), self._refresh_expires()
        await self._store.add_session(session, user, _hash(refresh), expires)
        return self._tokens(user, session, refresh, expires)

    async def renew(self, shown: str) -> Tokens:
        """Exchanges a refresh token for new tokens.

        Raises:
            Unauthenticated: it is none, expired or of an ended session (BAD_REFRESH_TOKEN); or it had been
                used before, and its session is ended now (REFRESH_TOKEN_REUSED).
        """
        refresh, expires = secrets.token_urlsafe(32), self._refresh_expires()
        found = await self._store.refresh_session(_hash(shown), _hash(refresh), expires)
        if found is None:
            raise errors.Unauthenticated("BAD_REFRESH_TOKEN", "this refresh token is not good; sign in again")
        if found.reused:
            raise errors.Unauthenticated(
                "REFRESH_TOKEN_REUSED", "this refresh token was used before, so its session has ended; sign in again"
            )
        return self._tokens(found.user, found.session, refresh, expires)

    async def end(self, session: str, user: str) -> None:
        """Signs a session of a user out."""
        await self._store.end_session(session, user)

    def _refresh_expires(self) -> datetime:
        return datetime.now(UTC) + self._refresh

    def _tokens(self, user: str, session: str, refresh: str, refresh_expires: datetime) -> Tokens:
        now = datetime.now(UTC)
        expires = now + self._access
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": user,
            "sid": session,
            "jti": names.new_id(),
            "iat": now,
            "exp": expires,
            "scope": ALL_SCOPES,
        }
        access = jwt.encode(claims, self._key.private, algorithm="EdDSA", headers={"kid": self._key.id})
        return Tokens(user, access, expires, refresh, refresh_expires)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
