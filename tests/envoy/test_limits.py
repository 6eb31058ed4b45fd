"""How often one may call: an address before it is known who calls, a user and a credential after it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
import pytest
from google.rpc import error_details_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.voice.v1 import speech_pb2, speech_pb2_grpc, voice_pb2, voice_pb2_grpc

from services.gateway import surface
from services.gateway.app import open_app
from services.gateway.settings import Settings
from services.mesh import status
from services.mesh.server import serving
from tests.envoy.edge import Edge, Ports, running, until

Certificates = dict[str, Path]
LOGIN = {"email": "a@b.test", "password": "12345678"}
PAGE = "http://localhost:5173"
YEAR = 360 * 24 * 3600
"""So long that no test sees a window end."""
FEW = {"user_rate": "5/year", "user_costly_rate": "2/year"}


@pytest.fixture(scope="module")
async def edge(
    certificates: Certificates, tmp_path_factory: pytest.TempPathFactory, port: Ports
) -> AsyncIterator[Edge]:
    """An edge where a user may call 5 times, twice of them for something costly; each test has a user of its own."""
    async with running(certificates, tmp_path_factory.mktemp("envoy"), port, limits=FEW) as edge:
        yield edge


@asynccontextmanager
async def by(edge: Edge, user: str) -> AsyncIterator[httpx.AsyncClient]:
    """A REST client of a user."""
    async with edge.http(signed_in=False) as client:
        client.headers.update(edge.bearer(sub=user))
        yield client


async def get_voice(edge: Edge, user: str) -> grpc.aio.AioRpcError | None:
    """What comes of a native call of a user."""
    async with edge.grpc() as channel:
        try:
            await voice_pb2_grpc.VoiceServiceStub(channel).GetVoice(
                voice_pb2.GetVoiceRequest(name="voices/1"), metadata=edge.metadata(sub=user), timeout=20
            )
        except grpc.aio.AioRpcError as error:
            return error
    return None


def retry_seconds(error: grpc.aio.AioRpcError) -> int:
    """RetryInfo of a refusal."""
    retry = error_details_pb2.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.of(error).details)
    return retry.retry_delay.ToSeconds()


async def test_beyond_their_rate_a_user_is_refused_over_rest_and_grpc_and_nobody_else_is(edge: Edge) -> None:
    async with by(edge, "ada") as client:
        good = [await client.get("/v1/voices/1") for _ in range(5)]
        calls = edge.seen.calls
        refused = await client.get("/v1/voices/1")
    native = await get_voice(edge, "ada")

    assert {answer.status_code for answer in good} == {200}
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/json"
    body = refused.json()
    assert body["code"] == 8
    assert body["details"][0]["reason"] == "RATE_LIMITED"
    assert body["details"][0]["metadata"] == {"limit": "user", "calls": "5", "seconds": str(YEAR)}
    assert body["details"][1]["retry_delay"] == f"{refused.headers['retry-after']}s"
    assert 0 < int(refused.headers["retry-after"]) <= YEAR
    assert "x-envoy-ratelimited" not in refused.headers
    assert native is not None
    assert native.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert status.reason(native) == "RATE_LIMITED"
    assert native.details() == body["message"]
    assert 0 < retry_seconds(native) <= YEAR
    assert edge.seen.calls == calls
    assert await get_voice(edge, "eve") is None


async def test_answers_say_how_much_is_left(edge: Edge) -> None:
    async with by(edge, "bob") as client:
        first, second = await client.get("/v1/voices/1"), await client.get("/v1/voices/none")
        spoken = await client.post("/v1/voices/1:speak", json={"text": "Hello"})

    assert first.headers["ratelimit-policy"] == f'"user";q=5;w={YEAR}'
    assert first.headers["ratelimit"].startswith('"user";r=4;t=')
    assert second.headers["ratelimit"].startswith('"user";r=3;t=')
    assert spoken.headers["ratelimit-policy"] == f'"user-costly";q=2;w={YEAR}, "user";q=5;w={YEAR}'
    assert spoken.headers["ratelimit"].startswith('"user-costly";r=1;t=')


async def test_what_makes_the_engine_work_has_a_smaller_budget_of_its_own(edge: Edge) -> None:
    async with by(edge, "carol") as client:
        spoken = [await client.post("/v1/voices/1:speak", json={"text": "Hello"}) for _ in range(3)]
        read = await client.get("/v1/voices/1")
    async with edge.grpc() as channel:
        stream = speech_pb2_grpc.SpeechServiceStub(channel).Speak(
            speech_pb2.SpeakRequest(name="voices/1", text="Hello"), metadata=edge.metadata(sub="carol"), timeout=20
        )
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            [each async for each in stream]

    assert [answer.status_code for answer in spoken] == [200, 200, 429]
    assert spoken[2].json()["details"][0]["metadata"]["limit"] == "user-costly"
    assert read.status_code == 200
    assert status.reason(raised.value) == "RATE_LIMITED"


async def test_a_refused_call_costs_nothing_else(edge: Edge) -> None:
    async with by(edge, "dave") as client:
        spoken = [await client.post("/v1/voices/1:speak", json={"text": "Hello"}) for _ in range(6)]
        read = await client.get("/v1/voices/1")

    assert [answer.status_code for answer in spoken] == [200, 200, 429, 429, 429, 429]
    assert read.headers["ratelimit"].startswith('"user";r=2;')


async def test_keys_health_and_reflection_are_free(edge: Edge) -> None:
    async with by(edge, "erin") as client:
        free = [await client.get("/.well-known/jwks.json") for _ in range(8)]
        read = await client.get("/v1/voices/1")
    async with edge.grpc() as channel:
        for _ in range(8):
            await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", metadata=edge.metadata(sub="erin"))
    native = await get_voice(edge, "erin")

    assert {answer.status_code for answer in free} == {200}
    assert "ratelimit" not in free[0].headers
    assert read.headers["ratelimit"].startswith('"user";r=4;')
    assert native is None


async def test_a_page_is_told_too(edge: Edge) -> None:
    web = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": PAGE}
    async with by(edge, "frank") as client:
        for _ in range(5):
            await client.get("/v1/voices/1")
        rest = await client.get("/v1/voices/1", headers={"origin": PAGE})
        grpc_web = await client.post("/voicemesh.voice.v1.VoiceService/GetVoice", content=b"\0" * 5, headers=web)

    for answer in (rest, grpc_web):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert {"ratelimit", "retry-after"} <= set(answer.headers["access-control-expose-headers"].split(", "))
        assert int(answer.headers["retry-after"]) > 0
    assert rest.status_code == 429
    assert grpc_web.headers["grpc-status"] == "8"
    assert "too many requests" in grpc_web.headers["grpc-message"]


async def test_without_a_count_calls_pass(certificates: Certificates, tmp_path: Path, port: Ports) -> None:
    """The gateway decides who is let in; if it can do that but not count, nobody is shut out."""
    number = port()
    ports = {"gateway": number, "auth": port()}
    settings = Settings(
        listen=f"127.0.0.1:{number}",
        tls=certificates["gateway"],
        auth_address=f"127.0.0.1:{ports['auth']}",
        keys_refetch_seconds=0.01,
        drain_seconds=0,
        user_rate="1/year",
    )
    async with AsyncExitStack() as stack:
        application = await stack.enter_async_context(open_app(settings))
        only = [each for each in application.servicers if "auth" in each.contract]
        await stack.enter_async_context(serving(replace(application, servicers=only), settings))
        edge = await stack.enter_async_context(running(certificates, tmp_path, port, without=["gateway"], ports=ports))
        async with asyncio.timeout(20):
            while (await edge.get("/v1/voices/1")).status_code == 503:  # The keys have not been fetched yet.
                await asyncio.sleep(0.05)
        answers = [await edge.get("/v1/voices/1") for _ in range(3)]

    assert len(only) == 1
    assert {answer.status_code for answer in answers} == {200}


def test_the_paths_where_passwords_are_tried() -> None:
    assert {"/v1/auth:login", "/v1/auth:register", "/voicemesh.auth.v1.AuthService/Login"} <= {*surface.read().sign_in}


async def test_signing_in_has_a_small_budget_for_each_address(
    certificates: Certificates, tmp_path: Path, port: Ports
) -> None:
    async with running(certificates, tmp_path, port, sign_ins_per_minute=3) as edge:
        async with edge.http(signed_in=False) as client:
            answers = [await client.post(f"/v1/auth:login?{n}", json=LOGIN) for n in range(2)]
            answers += [await client.post("/v1/auth:login", json=LOGIN) for _ in range(3)]
            other = await client.get("/.well-known/jwks.json")
        async with edge.grpc() as channel:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await auth_pb2_grpc.AuthServiceStub(channel).Login(auth_pb2.LoginRequest(**LOGIN), timeout=20)
        elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.2")
        async with edge.http(signed_in=False, transport=elsewhere) as client:
            neighbour = await client.post("/v1/auth:login", json=LOGIN)

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert answers[-1].json()["details"][0]["reason"] == "RATE_LIMITED"
    assert answers[-1].headers["retry-after"] == "1"
    assert status.reason(raised.value) == "RATE_LIMITED"
    assert other.status_code == 200
    assert neighbour.status_code == 200


async def test_each_address_has_a_bucket_of_its_own(certificates: Certificates, tmp_path: Path, port: Ports) -> None:
    async with running(certificates, tmp_path, port, rate_per_second=1, rate_burst=3) as edge:
        answers = [await edge.get("/v1/voices/1") for _ in range(20)]
        elsewhere = httpx.AsyncHTTPTransport(local_address="127.0.0.3")
        async with edge.http(transport=elsewhere) as client:
            neighbour = await client.get("/v1/voices/1")
        await until(lambda: "127.0.0.3" in edge.log.read_text())

    assert {answer.status_code for answer in answers} == {200, 429}
    assert neighbour.status_code == 200


async def test_an_address_cannot_be_made_up(certificates: Certificates, tmp_path: Path, port: Ports) -> None:
    async with running(certificates, tmp_path, port, rate_per_second=1, rate_burst=3) as edge:
        answers = [
            await edge.get("/v1/voices/1", headers={"x-forwarded-for": f"10.0.0.{n}", "x-real-ip": f"10.0.0.{n}"})
            for n in range(20)
        ]

    assert 429 in {answer.status_code for answer in answers}


async def test_behind_a_proxy_the_address_is_the_one_that_the_proxy_tells(
    certificates: Certificates, tmp_path: Path, port: Ports
) -> None:
    async with running(certificates, tmp_path, port, rate_per_second=1, rate_burst=3, trusted_proxies=1) as edge:
        # What the client itself said stands before what the proxy added.
        many = [
            await edge.get("/v1/voices/1", headers={"x-forwarded-for": f"10.0.0.{n}, 192.0.2.1"}) for n in range(20)
        ]
        other = await edge.get("/v1/voices/1", headers={"x-forwarded-for": "10.0.0.1, 192.0.2.2"})
        line = await edge.logged(other.headers["x-request-id"])

    assert 429 in {answer.status_code for answer in many}
    assert other.status_code == 200
    assert line["client"] == "192.0.2.2"
