"""Credentials that are not good, each for one reason, signed with the mesh's own key where that is what it takes."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import jwt
import psycopg
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.local.mesh import Mesh
from tests.issuer import Issuer
from tests.security.people import Person


def of_mesh(running: Mesh) -> Issuer:
    """Signs as the mesh's own auth service does: with its key, out of its database."""
    assert running.database is not None
    with psycopg.connect(running.database.server.url("voicemesh_auth")) as connection:
        row = connection.execute("SELECT id::text, private FROM signing_keys ORDER BY id DESC LIMIT 1").fetchone()
    assert row is not None
    raw = Fernet(running.state.secret("VOICEMESH_AUTH_KEY_ENCRYPTION_KEY")).decrypt(bytes(row[1]))
    issuer = Issuer()
    issuer.kid, issuer.keys = row[0], {row[0]: Ed25519PrivateKey.from_private_bytes(raw)}
    return issuer


Forge = Callable[[Issuer, Person], str]
"""Makes a token that would be good for that person, but for one thing."""


def _claims(issuer: Issuer, who: Person, **changed: object) -> dict[str, object]:
    return issuer.claims(sub=who.session["user"].removeprefix("users/"), **changed)


def _signed(issuer: Issuer, who: Person, **changed: object) -> str:
    return jwt.encode(
        _claims(issuer, who, **changed), issuer.keys[issuer.kid], algorithm="EdDSA", headers={"kid": issuer.kid}
    )


def _part(content: dict[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def _by_hand(issuer: Issuer, who: Person, signature: str, **header: object) -> str:
    return f"{_part({'typ': 'JWT', 'kid': issuer.kid, **header})}.{_part(_claims(issuer, who))}.{signature}"


def _hs256(issuer: Issuer, who: Person, secret: bytes) -> str:
    """Signed with what everybody knows (RFC 8725, section 2.1); by hand, since PyJWT refuses such a secret."""
    import hashlib
    import hmac

    said = f"{_part({'typ': 'JWT', 'kid': issuer.kid, 'alg': 'HS256'})}.{_part(_claims(issuer, who))}"
    digest = hmac.new(secret, said.encode(), hashlib.sha256).digest()
    return f"{said}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def _altered(issuer: Issuer, who: Person) -> str:
    """Signed for nobody in particular, then made out to the person."""
    header, _, signature = issuer.token(sub="nobody").split(".")
    return f"{header}.{_part(_claims(issuer, who))}.{signature}"


def _pem(issuer: Issuer) -> bytes:
    return issuer.keys[issuer.kid].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _foreign(issuer: Issuer, who: Person, **header: object) -> str:
    stranger = Ed25519PrivateKey.generate()
    return jwt.encode(_claims(issuer, who), stranger, algorithm="EdDSA", headers={"kid": issuer.kid, **header})


def _own_key_along(issuer: Issuer, who: Person) -> str:
    """Signed with a key that the token itself brings along (RFC 7515, section 4.1.3)."""
    stranger = Ed25519PrivateKey.generate()
    raw = stranger.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    headers = {"kid": issuer.kid, "jwk": {"kty": "OKP", "crv": "Ed25519", "x": x}}
    return jwt.encode(_claims(issuer, who), stranger, algorithm="EdDSA", headers=headers)


BAD: dict[str, Forge] = {
    "expired": lambda i, w: _signed(i, w, iat=int(time.time()) - 2000, exp=int(time.time()) - 1000),
    "wrong signature": lambda i, w: _foreign(i, w),
    "altered": _altered,
    "alg none": lambda i, w: _by_hand(i, w, "", alg="none"),
    "alg nOnE with the old signature": lambda i, w: _by_hand(i, w, _signed(i, w).split(".")[2], alg="nOnE"),
    "HS256 with the public key": lambda i, w: _hs256(i, w, i.raw),
    "HS256 with the public key as PEM": lambda i, w: _hs256(i, w, _pem(i)),
    "wrong aud": lambda i, w: _signed(i, w, aud="somebody-else"),
    "no aud": lambda i, w: _signed(i, w, aud=None),
    "wrong iss": lambda i, w: _signed(i, w, iss="https://evil.example"),
    "unknown kid": lambda i, w: jwt.encode(
        _claims(i, w), i.keys[i.kid], algorithm="EdDSA", headers={"kid": "00000000-0000-7000-8000-000000000000"}
    ),
    "no kid": lambda i, w: jwt.encode(_claims(i, w), i.keys[i.kid], algorithm="EdDSA"),
    "kid as a path": lambda i, w: _foreign(i, w, kid="../../../../dev/null"),
    "kid as SQL": lambda i, w: _foreign(i, w, kid="' OR '1'='1"),
    "its own key along": _own_key_along,
    "without exp": lambda i, w: _signed(i, w, exp=None),
    "without sub": lambda i, w: jwt.encode(
        issuer_claims_without_sub(i), i.keys[i.kid], algorithm="EdDSA", headers={"kid": i.kid}
    ),
    "not yet": lambda i, w: _signed(i, w, nbf=int(time.time()) + 1000),
    "refresh token": lambda i, w: str(w.session["refresh_token"]),
    "nonsense": lambda i, w: "nonsense",
}
"""By what is wrong with it."""


def issuer_claims_without_sub(issuer: Issuer) -> dict[str, object]:
    """All claims but whose they are."""
    return issuer.claims(sub=None)


def lacking(issuer: Issuer, who: Person, scopes: frozenset[str], lacks: str) -> str:
    """A token that is good but for one scope."""
    rest = sorted(scopes - {lacks}) or ["nothing:useful"]
    return _signed(issuer, who, scope=" ".join(rest))
