"""Readiness follows what a service depends on, whatever happens to the looking."""

from __future__ import annotations

import asyncio
from pathlib import Path

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2
from voicemesh.user.v1 import user_pb2_grpc

from services.local.health import check
from services.mesh import server
from services.mesh.server import Application, Servicer, serving
from services.mesh.settings import MeshSettings
from services.mesh.status import reason
from tests.peers import Served, signed_in

State = health_pb2.HealthCheckResponse.ServingStatus
CONTRACT = "voicemesh.user.v1.UserService"


async def test_an_error_of_ours_makes_unready_and_not_for_ever(
    certificates: dict[str, Path], free_port, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "PING_SECONDS", 0.02)
    broken = False

    async def ping() -> None:
        if broken:
            raise ZeroDivisionError("nobody thought of this")

    servicer = user_pb2_grpc.UserServiceServicer()
    application = Application(
        [Servicer(CONTRACT, lambda to: user_pb2_grpc.add_UserServiceServicer_to_server(servicer, to))],
        pings={"database": ping},
    )
    address, seen = f"127.0.0.1:{free_port()}", []
    settings = MeshSettings(listen="127.0.0.1:0", tls=certificates["user"], health_listen=address, drain_seconds=0)
    question = health_pb2.HealthCheckRequest(service=CONTRACT)
    async with serving(application, settings), grpc.aio.insecure_channel(address) as channel:
        for state in ("SERVING", "NOT_SERVING", "SERVING"):
            broken = state == "NOT_SERVING"
            async with asyncio.timeout(5):
                while (await check(channel)(question)).status != State.Value(state):
                    await asyncio.sleep(0.01)
            seen.append(state)

    assert seen == ["SERVING", "NOT_SERVING", "SERVING"]
    assert "nobody thought of this" in capfd.readouterr().out


async def test_without_tls_health_is_all_there_is(certificates: dict[str, Path], free_port) -> None:
    servicer = user_pb2_grpc.UserServiceServicer()
    application = Application(
        [Servicer(CONTRACT, lambda to: user_pb2_grpc.add_UserServiceServicer_to_server(servicer, to))]
    )
    address = f"127.0.0.1:{free_port()}"
    settings = MeshSettings(listen="127.0.0.1:0", tls=certificates["user"], health_listen=address, drain_seconds=0)
    refused = {}
    async with serving(application, settings), grpc.aio.insecure_channel(address) as channel:
        healthy = await check(channel)(health_pb2.HealthCheckRequest())
        for path in (
            f"/{CONTRACT}/GetUser",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ):
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await channel.unary_unary(path)(b"", metadata=signed_in("ada"))
            refused[path] = raised.value.code()

    assert healthy.status == State.SERVING
    assert set(refused.values()) == {grpc.StatusCode.UNIMPLEMENTED}


async def test_nothing_is_served_without_tls_unless_told(certificates: dict[str, Path]) -> None:
    settings = MeshSettings(listen="127.0.0.1:0", tls=certificates["user"], drain_seconds=0)

    async with (
        serving(Application([]), settings) as port,
        grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await check(channel)(health_pb2.HealthCheckRequest(), timeout=5)

    assert settings.health_listen == ""
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_method_that_has_no_rule_is_for_nobody(
    certificates: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it would be if a contract did not say who may call it."""
    monkeypatch.setattr(server.contracts, "rules", lambda services: {})
    servicer = user_pb2_grpc.UserServiceServicer()
    application = Application(
        [Servicer(CONTRACT, lambda to: user_pb2_grpc.add_UserServiceServicer_to_server(servicer, to))]
    )
    settings = MeshSettings(listen="127.0.0.1:0", tls=certificates["user"], drain_seconds=0)
    refused = {}
    async with serving(application, settings) as port:
        for peer in ("envoy", "auth", "worker"):
            async with Served("user", port, certificates).channel(peer) as channel:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await channel.unary_unary(f"/{CONTRACT}/GetUser")(b"", metadata=signed_in("ada"), timeout=10)
                refused[peer] = (raised.value.code(), reason(raised.value))

    assert set(refused.values()) == {(grpc.StatusCode.PERMISSION_DENIED, "NO_ACCESS_RULE")}
