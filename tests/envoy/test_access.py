"""Who gets in: every method of the contracts, over REST and over gRPC, with and without a credential."""

from __future__ import annotations

import re

import grpc
import httpx
import pytest
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.user.v1 import user_pb2, user_pb2_grpc

from services.gateway import surface
from services.mesh.contracts import Access
from services.mesh.status import reason
from tests.envoy.edge import Edge

SHOWN = surface.read()
CLOSED = [method for method in SHOWN.exposed if method.rule.access == Access.AUTHENTICATED]
OPEN = [method for method in SHOWN.exposed if method.rule.access == Access.PUBLIC]
ROUTES = [(method, *route) for method in CLOSED for route in method.rule.routes]
ENVOYS = (
    "/envoy.service.auth.v3.Authorization/Check",
    "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit",
)
BAD = "Bearer eyJhbGciOiJub25lIn0.e30."


def filled(template: str) -> str:
    """A path that fits the template."""
    return re.sub(r"\{[^=}]*=([^}]*)\}", lambda match: match[1].replace("*", "1"), template)


async def call(edge: Edge, path: str, metadata=()) -> grpc.aio.AioRpcError | None:
    """What comes of a call with an empty message."""
    async with edge.grpc() as channel:
        try:
            await channel.unary_unary(path)(b"", metadata=metadata, timeout=20)
        except grpc.aio.AioRpcError as error:
            return error
    return None


def code(response: httpx.Response) -> tuple[int, int, str]:
    """Status, code and reason of a refusal over REST."""
    body = response.json()
    return response.status_code, body["code"], body["details"][0]["reason"]


def test_there_is_something_to_walk() -> None:
    assert len(ROUTES) > 20
    assert len(OPEN) >= 4
    assert SHOWN.hidden


@pytest.mark.parametrize(("method", "verb", "template"), ROUTES, ids=lambda value: getattr(value, "path", str(value)))
async def test_rest_needs_a_credential(edge: Edge, method, verb: str, template: str) -> None:
    async with edge.http(signed_in=False) as client:
        anonymous = await client.request(verb, filled(template))
        bad = await client.request(verb, filled(template), headers={"authorization": BAD})

    assert code(anonymous) == (401, 16, "CREDENTIALS_MISSING")
    assert anonymous.headers["www-authenticate"] == "Bearer"
    assert anonymous.headers["content-type"] == "application/json"
    assert code(bad) == (401, 16, "TOKEN_INVALID")


@pytest.mark.parametrize(("method", "verb", "template"), ROUTES, ids=lambda value: getattr(value, "path", str(value)))
async def test_rest_with_a_credential_reaches_the_method(edge: Edge, method, verb: str, template: str) -> None:
    edge.voice.release.set()
    async with edge.http() as client:
        response = await client.request(verb, filled(template))
    logged = await edge.logged(response.headers["x-request-id"])

    assert response.status_code not in (401, 404)
    assert logged["route"] == method.path.rsplit(".", 1)[1].replace("/", ".")
    assert logged["upstream"] == method.process
    assert logged["user"] == "ada"


@pytest.mark.parametrize("method", CLOSED, ids=lambda method: method.path)
async def test_grpc_needs_a_credential(edge: Edge, method) -> None:
    anonymous = await call(edge, method.path)
    bad = await call(edge, method.path, (("authorization", BAD),))

    for error, expected in ((anonymous, "CREDENTIALS_MISSING"), (bad, "TOKEN_INVALID")):
        assert error is not None
        assert error.code() == grpc.StatusCode.UNAUTHENTICATED
        assert reason(error) == expected
        assert error.details()
        assert not error.details().startswith("{")


@pytest.mark.parametrize("method", CLOSED, ids=lambda method: method.path)
async def test_grpc_with_a_credential_reaches_the_method(edge: Edge, method) -> None:
    edge.voice.release.set()

    error = await call(edge, method.path, edge.metadata())

    assert error is None or error.code() != grpc.StatusCode.UNAUTHENTICATED
    assert error is None or reason(error) != "NO_SUCH_METHOD"


@pytest.mark.parametrize("method", OPEN, ids=lambda method: method.path)
async def test_a_public_method_needs_none_but_refuses_a_bad_one(edge: Edge, method) -> None:
    anonymous = await call(edge, method.path)
    bad = await call(edge, method.path, (("authorization", BAD),))

    assert anonymous is None or anonymous.code() != grpc.StatusCode.UNAUTHENTICATED
    assert bad is not None
    assert bad.code() == grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("path", [*sorted(SHOWN.hidden), *ENVOYS])
async def test_internal_methods_do_not_exist(edge: Edge, path: str) -> None:
    unknown = "/voicemesh.voice.v1.VoiceService/NoSuchThing"

    for metadata in ((), edge.metadata()):
        internal, nothing = await call(edge, path, metadata), await call(edge, unknown, metadata)
        assert internal is not None
        assert nothing is not None
        assert (internal.code(), internal.details(), reason(internal)) == (
            nothing.code(),
            nothing.details(),
            reason(nothing),
        )
        assert internal.code() == (grpc.StatusCode.UNIMPLEMENTED if metadata else grpc.StatusCode.UNAUTHENTICATED)
    async with edge.http() as client:
        assert code(await client.post(path, json={})) == (404, 5, "NO_SUCH_METHOD")


async def test_nobody_can_say_who_they_are_themselves(edge: Edge) -> None:
    claimed = {"x-voicemesh-user": "eve", "x-voicemesh-session": "s", "X-VoiceMesh-Scopes": "*"}
    async with edge.http(signed_in=False) as client:
        login = {"email": "a@b.test", "password": "12345678"}
        public = (await client.post("/v1/auth:login", json=login, headers=claimed)).json()
        closed = (await client.get("/v1/users/me", headers={**claimed, **edge.bearer(sub="ada")})).json()
    async with edge.grpc() as channel:
        metadata = tuple((key.lower(), value) for key, value in claimed.items())
        native = await auth_pb2_grpc.AuthServiceStub(channel).Login(auth_pb2.LoginRequest(**login), metadata=metadata)

    assert public["user"] == native.user == "users/nobody"
    assert closed["bio"] == "ada"


async def test_a_service_sees_who_calls_and_not_the_credential(edge: Edge) -> None:
    async with edge.grpc() as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        metadata = edge.metadata(sub="ada", sid="s-7", scope="user:read files:read")
        await stub.GetUser(user_pb2.GetUserRequest(name="users/me"), metadata=metadata)

    assert edge.seen.metadata["x-voicemesh-user"] == "ada"
    assert edge.seen.metadata["x-voicemesh-session"] == "s-7"
    assert edge.seen.metadata["x-voicemesh-scopes"] == "user:read files:read"
    assert "authorization" not in edge.seen.metadata


@pytest.mark.parametrize("claimed", [{}, {"x-voicemesh-address": "192.0.2.1", "x-forwarded-for": "192.0.2.1"}])
async def test_a_service_sees_where_a_request_comes_from_and_not_what_the_client_says(edge: Edge, claimed) -> None:
    async with edge.grpc() as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        await stub.GetUser(
            user_pb2.GetUserRequest(name="users/me"), metadata=(*edge.metadata(sub="ada"), *claimed.items())
        )
        signed_in = edge.seen.metadata["x-voicemesh-address"]
        await auth_pb2_grpc.AuthServiceStub(channel).Login(
            auth_pb2.LoginRequest(email="a@b.test", password="12345678"), metadata=tuple(claimed.items())
        )

    assert (signed_in, edge.seen.metadata["x-voicemesh-address"]) == ("127.0.0.1", "127.0.0.1")


async def test_a_credential_without_the_scope_is_refused(edge: Edge) -> None:
    async with edge.http(signed_in=False) as client:
        response = await client.get("/v1/users/me", headers=edge.bearer(scope="files:read"))

    assert code(response) == (403, 7, "SCOPE_MISSING")


@pytest.mark.parametrize(
    "path", ["/v1/auth:login/", "/v1/auth%3Alogin", "/V1/auth:login", "/v1/auth:login;x", "/v1/x/../auth:Login"]
)
async def test_what_only_looks_public_needs_a_credential(edge: Edge, path: str) -> None:
    async with edge.http(signed_in=False) as client:
        response = await client.post(path, json={"email": "a@b.test", "password": "12345678"})

    assert response.status_code == 401


async def test_another_verb_on_a_public_path_needs_a_credential(edge: Edge) -> None:
    async with edge.http(signed_in=False) as client:
        statuses = [
            (await client.request(verb, path)).status_code
            for verb, path in (("GET", "/v1/auth:login"), ("POST", "/.well-known/jwks.json"), ("OPTIONS", "/v1/voices"))
        ]

    assert statuses == [401, 401, 401]
