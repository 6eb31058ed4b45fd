"""The rules of the edge, without a network."""

from __future__ import annotations

import pytest

from services.gateway import surface
from services.gateway.checks import Checks, Request
from services.gateway.tokens import Claims
from services.mesh import errors

ADA = Claims("ada", "session-1", "*", 0.0)
LOGIN = "/v1/auth:login"
LOGIN_METHOD = "/voicemesh.auth.v1.AuthService/Login"
HIDDEN = "/voicemesh.auth.v1.AuthService/GetAccount"


async def verify(token: str) -> Claims:
    """Knows one token, and one that cannot be decided."""
    if token == "good":
        return ADA
    if token == "undecided":
        raise errors.Unavailable("KEYS_UNAVAILABLE", "not now")
    raise errors.Unauthenticated("TOKEN_INVALID", "bad")


CHECKS = Checks(surface.read(), foreign=surface.FOREIGN, verify=verify)


async def check(verb: str, path: str, authorization: str | None = None) -> Claims | None:
    return await CHECKS.check(Request(verb, path, authorization))


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("POST", LOGIN),
        ("POST", f"{LOGIN}?x=1"),
        ("POST", f"{LOGIN}?"),
        ("POST", LOGIN_METHOD),
        ("GET", "/.well-known/jwks.json"),
        ("POST", "/grpc.health.v1.Health/Check"),
        ("POST", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
        ("POST", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),
    ],
)
async def test_public_requests_pass_with_and_without_a_credential(verb: str, path: str) -> None:
    assert await check(verb, path) is None
    assert await check(verb, path, "") is None
    assert await check(verb, path, "Bearer good") == ADA


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", LOGIN),
        ("post", LOGIN),
        ("HEAD", "/.well-known/jwks.json"),
        ("OPTIONS", LOGIN),
        ("POST", f"{LOGIN}/"),
        ("POST", f"/{LOGIN}"),
        ("POST", LOGIN.upper()),
        ("POST", "/v1/auth%3Alogin"),
        ("POST", "/v1/auth:logi%6E"),
        ("POST", f"{LOGIN};a=b"),
        ("POST", f"{LOGIN}#a"),
        ("POST", f"{LOGIN}%3F"),
        ("POST", f"{LOGIN}\0"),
        ("POST", f"{LOGIN} "),
        ("POST", f"/v1/voices/..{LOGIN}"),
        ("POST", f"/x?{LOGIN}"),
        ("GET", LOGIN_METHOD),
        ("POST", f"{LOGIN_METHOD}/"),
        ("POST", LOGIN_METHOD.lower()),
        ("POST", "/grpc.health.v1.Health/Watch"),
        ("POST", "/voicemesh.auth.v1.AuthService/"),
        ("POST", "/voicemesh.auth.v1.AuthService/Logout"),
        ("POST", "/v1/auth:logout"),
        ("GET", "/v1/voices"),
        ("POST", HIDDEN),
        ("GET", "/no/such/thing"),
        ("GET", "/"),
        ("", ""),
        ("OPTIONS", "*"),
    ],
)
async def test_everything_else_needs_a_credential(verb: str, path: str) -> None:
    with pytest.raises(errors.Unauthenticated) as raised:
        await check(verb, path)

    assert raised.value.reason == "CREDENTIALS_MISSING"


@pytest.mark.parametrize("path", [LOGIN, "/v1/voices", "/no/such/thing", HIDDEN])
@pytest.mark.parametrize(
    "authorization",
    [
        "Bearer bad",
        "Bearer",
        "Bearer ",
        "Basic good",
        "good",
        "Bearer good, Bearer good",
        "Bearer good x",
        "bearergood",
    ],
)
async def test_a_bad_credential_is_refused_everywhere(path: str, authorization: str) -> None:
    with pytest.raises(errors.Unauthenticated) as raised:
        await check("POST", path, authorization)

    assert raised.value.reason == "TOKEN_INVALID"


@pytest.mark.parametrize("authorization", ["Bearer good", "bearer good", "BEARER  good"])
async def test_a_good_credential_opens_everything_that_is_shown(authorization: str) -> None:
    assert await check("GET", "/v1/voices", authorization) == ADA
    assert await check("GET", "/no/such/thing", authorization) == ADA


@pytest.mark.parametrize("path", [HIDDEN, f"{HIDDEN}?x"])
async def test_an_internal_method_does_not_exist_even_for_the_signed_in(path: str) -> None:
    with pytest.raises(errors.NotFound) as raised:
        await check("POST", path, "Bearer good")

    assert raised.value.reason == "NO_SUCH_METHOD"


async def test_a_credential_that_cannot_be_verified_is_neither_good_nor_bad() -> None:
    with pytest.raises(errors.Unavailable):
        await check("POST", LOGIN, "Bearer undecided")
