"""Access tokens, good and forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.gateway.tokens import LONGEST, Claims, Verifier
from services.mesh import errors
from tests.issuer import Issuer


class Known:
    """The public keys of an issuer."""

    def __init__(self, issuer: Issuer) -> None:
        self.keys: dict[str, Ed25519PublicKey] = {kid: key.public_key() for kid, key in issuer.keys.items()}
        self.generation = 1
        self.asked = 0

    async def get(self, kid: str) -> Ed25519PublicKey | None:
        self.asked += 1
        return self.keys.get(kid)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def known(issuer: Issuer) -> Known:
    return Known(issuer)


@pytest.fixture
def verifier(known: Known) -> Verifier:
    return Verifier(known, leeway_seconds=5, remembered=3)


def part(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def hs256(issuer: Issuer, secret: bytes) -> str:
    """A token signed with something public as a shared secret."""
    head = f"{part({'alg': 'HS256', 'kid': issuer.kid})}.{part(issuer.claims())}"
    return f"{head}.{part(hmac.digest(secret, head.encode(), hashlib.sha256))}"


def tampered(issuer: Issuer) -> str:
    header, _, signature = issuer.token().split(".")
    return f"{header}.{part(issuer.claims(sub='eve'))}.{signature}"


def signed_by_another(issuer: Issuer) -> str:
    return jwt.encode(issuer.claims(), Ed25519PrivateKey.generate(), algorithm="EdDSA", headers={"kid": issuer.kid})


def pem(issuer: Issuer) -> bytes:
    return issuer.keys[issuer.kid].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def headed(issuer: Issuer, **headers: object) -> str:
    return jwt.encode(issuer.claims(), issuer.keys[issuer.kid], algorithm="EdDSA", headers=headers)


FORGED = {
    "nothing": lambda issuer: "",
    "not a token": lambda issuer: "abc",
    "dots": lambda issuer: "..",
    "not ASCII": lambda issuer: "é.é.é",
    "alg none": lambda issuer: f"{part({'alg': 'none', 'kid': issuer.kid})}.{part(issuer.claims())}.",
    "alg None with a signature": lambda issuer: (
        f"{part({'alg': 'None', 'kid': issuer.kid})}.{part(issuer.claims())}.eA"
    ),
    "HS256 with the raw public key": lambda issuer: hs256(issuer, issuer.raw),
    "HS256 with the public key as PEM": lambda issuer: hs256(issuer, pem(issuer)),
    "tampered claims": tampered,
    "signed by another": signed_by_another,
    "no kid": lambda issuer: jwt.encode(issuer.claims(), issuer.keys[issuer.kid], algorithm="EdDSA"),
    "unknown kid": lambda issuer: headed(issuer, kid="nobody"),
    "kid of another type": lambda issuer: f"{part({'alg': 'EdDSA', 'kid': 7})}.{part(issuer.claims())}.eA",
    "header of another type": lambda issuer: f"{part([1])}.{part(issuer.claims())}.eA",
    "a critical header": lambda issuer: headed(issuer, kid=issuer.kid, crit=["x"], x=1),
    "wrong audience": lambda issuer: issuer.token(aud="elsewhere"),
    "wrong issuer": lambda issuer: issuer.token(iss="elsewhere"),
    "not valid yet": lambda issuer: issuer.token(nbf=int(time.time()) + 100),
    "issued in the future": lambda issuer: issuer.token(iat=int(time.time()) + 100),
    "expiry of another type": lambda issuer: issuer.token(exp="never"),
    "user of another type": lambda issuer: issuer.token(sub=7),
    "user that is no id": lambda issuer: issuer.token(sub="ada\r\nx-voicemesh-user: eve"),
    "empty user": lambda issuer: issuer.token(sub=""),
    "session of another type": lambda issuer: issuer.token(sid=["a"]),
    "scope of another type": lambda issuer: issuer.token(scope=["*"]),
    "scope with a line break": lambda issuer: issuer.token(scope="a\nb"),
    **{
        f"without {name}": lambda issuer, name=name: issuer.token(**{name: None})
        for name in ("iss", "aud", "exp", "iat", "sub", "jti", "sid")
    },
}


async def test_a_good_token_says_who_calls(issuer: Issuer, verifier: Verifier) -> None:
    claims = issuer.claims(scope="voices:read files:read")
    token = jwt.encode(claims, issuer.keys[issuer.kid], algorithm="EdDSA", headers={"kid": issuer.kid})

    assert await verifier.verify(token) == Claims("ada", "session-1", "voices:read files:read", claims["exp"])


async def test_a_token_without_scope_has_none(issuer: Issuer, verifier: Verifier) -> None:
    assert (await verifier.verify(issuer.token(scope=None))).scope == ""


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
async def test_a_forged_token_is_invalid(issuer: Issuer, verifier: Verifier, forge) -> None:
    for _ in range(2):  # It must not be remembered either.
        with pytest.raises(errors.Unauthenticated) as raised:
            await verifier.verify(forge(issuer))

        assert raised.value.reason == "TOKEN_INVALID"


async def test_an_expired_token_says_so(issuer: Issuer, verifier: Verifier) -> None:
    with pytest.raises(errors.Unauthenticated) as raised:
        await verifier.verify(issuer.token(exp=int(time.time()) - 10))

    assert raised.value.reason == "TOKEN_EXPIRED"


async def test_clocks_may_be_a_little_apart(issuer: Issuer, verifier: Verifier) -> None:
    now = int(time.time())

    assert await verifier.verify(issuer.token(iat=now + 2))
    assert await verifier.verify(issuer.token(exp=now - 1))


async def test_a_token_that_is_too_long_is_not_looked_at(issuer: Issuer, known: Known, verifier: Verifier) -> None:
    long = issuer.token(more="x" * LONGEST)

    with pytest.raises(errors.Unauthenticated):
        await verifier.verify(long)

    assert known.asked == 0


async def test_a_good_token_is_remembered(issuer: Issuer, known: Known, verifier: Verifier) -> None:
    token = issuer.token()

    first = await verifier.verify(token)

    assert await verifier.verify(token) is first
    assert known.asked == 1


async def test_a_remembered_token_is_forgotten_when_it_expires(issuer: Issuer, known: Known) -> None:
    now = time.time()
    verifier = Verifier(known, leeway_seconds=5, remembered=3, clock=lambda: now)
    token = issuer.token()
    await verifier.verify(token)
    now += 903
    await verifier.verify(token)
    assert known.asked == 1

    now += 5
    await verifier.verify(token)

    assert known.asked == 2


async def test_no_more_tokens_are_remembered_than_there_is_room_for(
    issuer: Issuer, known: Known, verifier: Verifier
) -> None:
    tokens = [issuer.token() for _ in range(10)]
    for token in tokens:
        await verifier.verify(token)
    asked = known.asked

    await verifier.verify(tokens[-1])
    await verifier.verify(tokens[0])

    assert known.asked == asked + 1


async def test_what_was_remembered_is_forgotten_when_a_key_is_withdrawn(
    issuer: Issuer, known: Known, verifier: Verifier
) -> None:
    token = issuer.token()
    await verifier.verify(token)
    known.keys.clear()
    known.generation += 1

    with pytest.raises(errors.Unauthenticated) as raised:
        await verifier.verify(token)

    assert raised.value.reason == "TOKEN_INVALID"
