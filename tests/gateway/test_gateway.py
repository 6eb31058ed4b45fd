"""The gateway over real mTLS gRPC, asked as Envoy asks it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import code_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.gateway.v1 import external_auth_pb2, external_auth_pb2_grpc

from services.gateway.app import open_app
from services.gateway.settings import Settings
from services.mesh import status
from services.mesh.server import Application, Servicer, serving
from services.mesh.settings import MeshSettings
from tests.issuer import Issuer
from tests.peers import Served, served

CONTRACT = "envoy.service.auth.v3.Authorization"


class Auth(auth_pb2_grpc.AuthServiceServicer):
    """Publishes the keys of an issuer, and one that nobody understands."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer

    async def GetJsonWebKeySet(self, request, context):
        odd = auth_pb2.JsonWebKey(kty="RSA", kid="odd")
        return auth_pb2.JsonWebKeySet(keys=[odd, *self.issuer.published()])


@asynccontextmanager
async def auth(issuer: Issuer, certificates: dict[str, Path], port: int = 0) -> AsyncIterator[int]:
    """A service like auth."""
    servicer = Auth(issuer)
    add = lambda server: auth_pb2_grpc.add_AuthServiceServicer_to_server(servicer, server)  # noqa: E731
    settings = MeshSettings(listen=f"127.0.0.1:{port}", tls=certificates["auth"], drain_seconds=0)
    async with serving(Application([Servicer("voicemesh.auth.v1.AuthService", add)]), settings) as number:
        yield number


def settings(certificates: dict[str, Path], auth_port: int) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        tls=certificates["gateway"],
        auth_address=f"127.0.0.1:{auth_port}",
        keys_refetch_seconds=0.01,
        drain_seconds=0,
    )


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture(scope="module")
async def gateway(issuer: Issuer, certificates: dict[str, Path]) -> AsyncIterator[Served]:
    async with (
        auth(issuer, certificates) as port,
        served("gateway", open_app, settings(certificates, port), certificates) as running,
    ):
        yield running


async def ask(
    gateway: Served, verb: str, path: str, *, peer: str = "envoy", **headers: str
) -> external_auth_pb2.CheckResponse:
    """What the gateway answers to a request with these headers."""
    request = external_auth_pb2.CheckRequest()
    request.attributes.request.http.method = verb
    request.attributes.request.http.path = path
    request.attributes.source.address.socket_address.address = "203.0.113.7"
    for name, value in headers.items():
        request.attributes.request.http.headers[name.replace("_", "-")] = value
    async with gateway.channel(peer) as channel:
        return await external_auth_pb2_grpc.AuthorizationStub(channel).Check(request)


async def health(gateway: Served, service: str) -> health_pb2.HealthCheckResponse.ServingStatus.ValueType:
    async with gateway.channel() as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
        return answer.status


def headers(options) -> dict[str, str]:
    return {option.header.key: option.header.value for option in options}


async def test_a_good_credential_becomes_headers(gateway: Served, issuer: Issuer) -> None:
    token = issuer.token(sub="ada", sid="s1", scope="voices:read")

    answer = await ask(gateway, "GET", "/v1/voices", authorization=f"Bearer {token}")

    assert answer.status.code == code_pb2.OK
    assert headers(answer.ok_response.headers) == {
        "x-voicemesh-address": "203.0.113.7",
        "x-voicemesh-user": "ada",
        "x-voicemesh-session": "s1",
        "x-voicemesh-scopes": "voices:read",
    }
    overwrite = external_auth_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
    assert {option.append_action for option in answer.ok_response.headers} == {overwrite}
    assert list(answer.ok_response.headers_to_remove) == ["authorization"]
    assert answer.dynamic_metadata["user"] == "ada"


async def test_a_public_request_passes_as_nobody(gateway: Served) -> None:
    answer = await ask(gateway, "POST", "/v1/auth:login")

    assert answer.WhichOneof("http_response") == "ok_response"
    assert headers(answer.ok_response.headers) == {"x-voicemesh-address": "203.0.113.7"}


async def test_a_refusal_is_json_for_rest(gateway: Served) -> None:
    answer = await ask(gateway, "GET", "/v1/voices", content_type="application/json")
    body = json.loads(answer.denied_response.body)

    assert answer.status.code == code_pb2.UNAUTHENTICATED
    assert answer.denied_response.status.code == 401
    assert headers(answer.denied_response.headers) == {
        "www-authenticate": "Bearer",
        "content-type": "application/json",
    }
    assert body["code"] == 16
    assert body["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "CREDENTIALS_MISSING",
            "domain": "voicemesh",
            "metadata": {},
        }
    ]


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc-web-text"])
async def test_a_refusal_is_a_status_for_grpc(gateway: Served, kind: str) -> None:
    answer = await ask(gateway, "POST", "/x.Y/Z", content_type=kind, authorization="Bearer x")
    trailers = headers(answer.denied_response.headers)
    details = status_pb2.Status.FromString(base64.b64decode(trailers["grpc-status-details-bin"]))

    assert trailers["grpc-status"] == "16"
    assert trailers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert details.message == answer.denied_response.body
    assert status.reason(details) == "TOKEN_INVALID"


async def test_an_internal_method_is_refused_as_unknown(gateway: Served, issuer: Issuer) -> None:
    path, credential = "/voicemesh.auth.v1.AuthService/GetAccount", f"Bearer {issuer.token()}"

    rest = await ask(gateway, "POST", path, authorization=credential)
    native = await ask(gateway, "POST", path, authorization=credential, content_type="application/grpc")

    assert rest.denied_response.status.code == native.denied_response.status.code == 404
    assert json.loads(rest.denied_response.body)["code"] == code_pb2.NOT_FOUND
    assert headers(native.denied_response.headers)["grpc-status"] == str(code_pb2.UNIMPLEMENTED)


@pytest.mark.parametrize("peer", ["voice", "worker", "gateway"])
async def test_only_envoy_may_ask(gateway: Served, peer: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(gateway, "POST", "/v1/auth:login", peer=peer)

    assert raised.value.code() == grpc.StatusCode.PERMISSION_DENIED


async def test_a_rotated_key_is_good_at_once_and_the_old_one_still_is(gateway: Served, issuer: Issuer) -> None:
    old = issuer.token()
    await ask(gateway, "GET", "/v1/voices", authorization=f"Bearer {old}")
    issuer.rotate()

    for token in (issuer.token(), old):
        answer = await ask(gateway, "GET", "/v1/voices", authorization=f"Bearer {token}")
        assert answer.status.code == code_pb2.OK


async def test_it_is_ready_once_it_has_keys_and_stays_so_without_auth(certificates: dict[str, Path], free_port) -> None:
    issuer, port = Issuer(), free_port()
    async with served("gateway", open_app, settings(certificates, port), certificates) as running:
        assert await health(running, "") == health_pb2.HealthCheckResponse.SERVING
        assert await health(running, CONTRACT) == health_pb2.HealthCheckResponse.NOT_SERVING
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await ask(running, "GET", "/v1/voices", authorization=f"Bearer {issuer.token()}")
        assert raised.value.code() == grpc.StatusCode.UNAVAILABLE

        async with auth(issuer, certificates, port):
            async with asyncio.timeout(20):
                while await health(running, CONTRACT) != health_pb2.HealthCheckResponse.SERVING:
                    await asyncio.sleep(0.05)

        answer = await ask(running, "GET", "/v1/voices", authorization=f"Bearer {issuer.token()}")
        assert answer.status.code == code_pb2.OK
