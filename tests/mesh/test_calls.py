"""What happens around every call: deadlines, peers, scopes, and failures of ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf import empty_pb2
from grpc_health.v1 import health_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc

from services.local.health import check
from services.mesh import deadlines, errors
from services.mesh.server import Application, Servicer, serving
from services.mesh.settings import MeshSettings
from services.mesh.status import reason
from tests.peers import Served, signed_in

SECRET = "a secret that must not leave: SELECT * FROM accounts"


class Odd(auth_pb2_grpc.AuthServiceServicer):
    """Does what a test asks it to, by e-mail address."""

    def __init__(self) -> None:
        self.cancelled = asyncio.Event()
        self.remaining = 0.0

    async def Login(self, request: auth_pb2.LoginRequest, context: object) -> auth_pb2.Session:
        self.remaining = deadlines.remaining(1000)
        if request.email == "slow":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
        if request.email == "broken":
            raise RuntimeError(SECRET)
        return auth_pb2.Session()

    async def Register(self, request: auth_pb2.RegisterRequest, context: object) -> auth_pb2.Session:
        return auth_pb2.Session()

    async def Refresh(self, request: auth_pb2.RefreshRequest, context: object) -> auth_pb2.Session:
        return auth_pb2.Session()

    async def Logout(self, request: auth_pb2.LogoutRequest, context: object) -> empty_pb2.Empty:
        return empty_pb2.Empty()

    async def GetJsonWebKeySet(
        self, request: auth_pb2.GetJsonWebKeySetRequest, context: object
    ) -> auth_pb2.JsonWebKeySet:
        return auth_pb2.JsonWebKeySet()

    async def GetAccount(self, request: auth_pb2.GetAccountRequest, context: object) -> auth_pb2.Account:
        return auth_pb2.Account()


@pytest.fixture(scope="module")
def odd() -> Odd:
    return Odd()


@pytest.fixture(scope="module")
def dependency() -> dict[str, bool]:
    """Whether what the service depends on answers."""
    return {"answers": True}


@pytest.fixture(scope="module")
async def service(odd: Odd, dependency: dict[str, bool], certificates: dict[str, Path]) -> AsyncIterator[Served]:
    async def ping() -> None:
        if not dependency["answers"]:
            raise errors.Unavailable("GONE", "gone")

    application = Application(
        servicers=[
            Servicer(
                "voicemesh.auth.v1.AuthService",
                lambda server: auth_pb2_grpc.add_AuthServiceServicer_to_server(odd, server),
            )
        ],
        pings={"dependency": ping},
    )
    settings = MeshSettings(listen="127.0.0.1:0", tls=certificates["auth"], unary_seconds=0.5, drain_seconds=0)
    async with serving(application, settings) as port:
        yield Served("auth", port, certificates)


@pytest.fixture(scope="module")
async def auth(service: Served) -> AsyncIterator[auth_pb2_grpc.AuthServiceAsyncStub]:
    async with service.channel() as channel:
        yield auth_pb2_grpc.AuthServiceStub(channel)


def login(email: str) -> auth_pb2.LoginRequest:
    return auth_pb2.LoginRequest(email=email, password="a password")


async def test_a_call_without_a_deadline_gets_one(auth, odd: Odd) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.Login(login("slow"))

    assert raised.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert reason(raised.value) == "DEADLINE_EXCEEDED"
    assert odd.cancelled.is_set()


async def test_a_sibling_gets_less_than_the_caller_waits(auth, odd: Odd) -> None:
    await auth.Login(login("quick"), timeout=0.3)

    assert 0 < odd.remaining < 0.3


async def test_a_failure_of_ours_says_nothing_of_our_insides(auth) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.Login(login("broken"), metadata=(("x-request-id", "find-me"),))

    assert raised.value.code() == grpc.StatusCode.INTERNAL
    assert raised.value.details() == "internal error"
    assert SECRET not in repr(raised.value)
    assert b"find-me" in dict(raised.value.trailing_metadata())["grpc-status-details-bin"]


@pytest.mark.parametrize("peer", ["user", "storage", "worker", "gateway"])
async def test_a_sibling_that_the_contract_does_not_name_is_refused(service: Served, peer: str) -> None:
    async with service.channel(peer) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await auth_pb2_grpc.AuthServiceStub(channel).Logout(auth_pb2.LogoutRequest(), metadata=signed_in("ada"))

    assert raised.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert reason(raised.value) == "PEER_NOT_ALLOWED"


async def test_the_sibling_that_the_contract_names_may_call(service: Served) -> None:
    async with service.channel("gateway") as channel:
        assert await auth_pb2_grpc.AuthServiceStub(channel).GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())


async def test_ready_is_what_depends_answers_and_alive_is_not(service: Served, dependency: dict[str, bool]) -> None:
    async def state(name: str) -> int:
        async with service.channel("gateway") as channel:
            return (await check(channel)(health_pb2.HealthCheckRequest(service=name))).status

    before = await state("voicemesh.auth.v1.AuthService")
    dependency["answers"] = False
    while await state("voicemesh.auth.v1.AuthService") != health_pb2.HealthCheckResponse.NOT_SERVING:
        await asyncio.sleep(0.1)
    alive = await state("")
    dependency["answers"] = True
    while await state("voicemesh.auth.v1.AuthService") != health_pb2.HealthCheckResponse.SERVING:
        await asyncio.sleep(0.1)

    assert before == alive == health_pb2.HealthCheckResponse.SERVING
