"""Reflection at the edge: all that is there, wherever it is served."""

from __future__ import annotations

import asyncio
import subprocess
import sysconfig
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from services.gateway import surface
from tests.envoy.edge import Edge

GRPCURL = Path(sysconfig.get_path("scripts")) / "grpcurl"


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_tells_of_every_exposed_service(edge: Edge, version: str) -> None:
    asked = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="voicemesh.voice.v1.VoiceService"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="envoy.service.auth.v3.Nothing"),
    ]
    async with edge.grpc() as channel:
        call = channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        services, voice, nothing = [answer async for answer in call(iter(asked))]

    names = {service.name for service in services.list_services_response.service}
    assert names >= set(surface.read().contracts)
    assert "envoy.service.auth.v3.Authorization" not in names
    assert voice.file_descriptor_response.file_descriptor_proto
    assert nothing.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def test_grpcurl_can_look_around(edge: Edge) -> None:
    def run(*words: str) -> str:
        return subprocess.run(
            [GRPCURL, "-plaintext", *words], capture_output=True, text=True, check=True, timeout=60
        ).stdout

    at = f"127.0.0.1:{edge.port}"
    listed = await asyncio.to_thread(run, at, "list")
    described = await asyncio.to_thread(run, at, "describe", "voicemesh.voice.v1.VoiceService")

    assert "voicemesh.voice.v1.SpeechService" in listed
    assert "rpc CreateVoice" in described


async def test_health_can_be_asked_at_the_edge_but_not_watched(edge: Edge) -> None:
    async with edge.grpc() as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest())
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await anext(aiter(stub.Watch(health_pb2.HealthCheckRequest())))

    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
