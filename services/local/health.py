"""Whether a process of the mesh is ready, asked from outside the way Envoy asks.

A probe is an address: `grpcs://host:port/contract` for a service (mTLS, as Envoy), `http://…` for Envoy
itself, and nothing for a process that listens nowhere: that one is ready while it lives.
"""

from pathlib import Path
from urllib.parse import urlsplit

import grpc
import grpc.aio
import httpx
from grpc_health.v1 import health_pb2

LIMIT = 2.0
Check = grpc.aio.UnaryUnaryMultiCallable[health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse]


async def ready(process: str, probe: str, tls: Path) -> bool:
    """Whether the process says that it can work; `tls` is the certificate folder to ask with."""
    if not probe:
        return True
    if probe.startswith("http://"):
        return await answers(probe)
    address = urlsplit(probe)
    return await serves(address.netloc, process, address.path.strip("/"), tls)


async def answers(url: str) -> bool:
    """Whether an HTTP address answers 200."""
    # Not through a proxy of the person's environment: it is on this machine.
    async with httpx.AsyncClient(timeout=LIMIT, trust_env=False) as client:
        try:
            return (await client.get(url)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False


def check(channel: grpc.aio.Channel) -> Check:
    """grpc.health.v1's method; its generated stub has no types."""
    return channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )


async def serves(address: str, process: str, contract: str, tls: Path) -> bool:
    """Whether a service says SERVING for its contract."""
    credentials = grpc.ssl_channel_credentials(
        root_certificates=(tls / "ca.crt").read_bytes(),
        private_key=(tls / "tls.key").read_bytes(),
        certificate_chain=(tls / "tls.crt").read_bytes(),
    )
    options = [
        ("grpc.ssl_target_name_override", f"{process}.voicemesh.internal"),
        ("grpc.enable_http_proxy", 0),
        # Else a channel of the last question, still backing off, answers for this one.
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        try:
            answer = await check(channel)(health_pb2.HealthCheckRequest(service=contract), timeout=LIMIT)
        except grpc.aio.AioRpcError:
            return False
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)
