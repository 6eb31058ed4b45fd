"""Straight to each service's port: without a certificate, with a wrong one, and with a sibling's that may not."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from cryptography import x509
from voicemesh.gateway.v1 import external_auth_pb2, external_auth_pb2_grpc

from services.gateway import surface
from services.local import certificates as authority
from services.local.mesh import Mesh
from services.mesh.contracts import Access
from services.mesh.credentials import channel_credentials
from tests.peers import signed_in
from tests.security import asking, calls, certificates
from tests.security.asking import SHOWN
from tests.security.certificates import DAY
from tests.security.people import Person

NOBODY = "0197f0f0-0000-7000-8000-000000000000"
NAMES = {template: template.replace("*", NOBODY) for template in asking.templates()}
SERVICES = ("auth", "user", "storage", "voice", "gateway")
ENVOY = x509.UniformResourceIdentifier("spiffe://voicemesh/envoy")


def secured(running: Mesh, service: str, folder: Path) -> grpc.aio.Channel:
    """A channel to a service's own port that shows the certificate in a folder."""
    options = (
        ("grpc.ssl_target_name_override", f"{service}.voicemesh.internal"),
        ("grpc.use_local_subchannel_pool", 1),
    )
    return grpc.aio.secure_channel(running.address(service), channel_credentials(folder), options=options)


@pytest.fixture(scope="module")
async def channels(running: Mesh) -> AsyncIterator[dict[tuple[str, str], grpc.aio.Channel]]:
    """A channel to each service as each process."""
    made = {
        (process, service): secured(running, service, running.tls[process])
        for process in authority.PROCESSES
        for service in SERVICES
    }
    yield made
    for channel in made.values():
        await channel.close()


@pytest.mark.matrix
@pytest.mark.parametrize("peer", authority.PROCESSES)
@pytest.mark.parametrize("method", SHOWN.methods, ids=lambda method: method.path)
async def test_a_process_may_call_what_the_contract_says_and_nothing_else(
    channels: dict[tuple[str, str], grpc.aio.Channel], method: surface.Method, peer: str
) -> None:
    """Each claims to call for somebody with every scope."""
    may = peer in method.rule.peers or (peer == "envoy" and method.rule.access != Access.INTERNAL)

    answer = await calls.by_grpc(
        channels[peer, method.process], method, asking.request(method, NAMES), signed_in(NOBODY)
    )

    if may:
        assert answer.said[0] not in ("PERMISSION_DENIED", "INTERNAL", "UNKNOWN")
    else:
        assert answer.said == ("PERMISSION_DENIED", "PEER_NOT_ALLOWED")


@pytest.mark.parametrize("peer", authority.PROCESSES)
async def test_only_envoy_may_ask_who_is_calling(channels: dict[tuple[str, str], grpc.aio.Channel], peer: str) -> None:
    stub = external_auth_pb2_grpc.AuthorizationStub(channels[peer, "gateway"])
    try:
        await stub.Check(external_auth_pb2.CheckRequest(), timeout=20)
        code = grpc.StatusCode.OK
    except grpc.aio.AioRpcError as error:
        code = error.code()

    assert (code == grpc.StatusCode.OK) == (peer == "envoy")
    assert code in (grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED)


async def refused(channel: grpc.aio.Channel, service: str) -> bool:
    """Whether not a single call gets through, not even one to anybody's health."""
    async with channel:
        try:
            await channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)
        except grpc.aio.AioRpcError as error:
            return error.code() == grpc.StatusCode.UNAVAILABLE
    return False


@pytest.mark.parametrize("service", SERVICES)
async def test_without_tls_or_without_a_certificate_nothing_answers(running: Mesh, service: str) -> None:
    root = (running.tls[service] / "ca.crt").read_bytes()
    options = (("grpc.ssl_target_name_override", f"{service}.voicemesh.internal"),)
    nothing_shown = grpc.ssl_channel_credentials(root)

    assert await refused(grpc.aio.insecure_channel(running.address(service)), service)
    assert await refused(grpc.aio.secure_channel(running.address(service), nothing_shown, options=options), service)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_certificate_of_somebody_else_or_of_another_time_is_refused(
    running: Mesh, tmp_path: Path, service: str
) -> None:
    ours = running.state.certificates
    stranger = authority.ensure(tmp_path / "stranger")["envoy"]
    (stranger / "ca.crt").write_bytes((running.tls["envoy"] / "ca.crt").read_bytes())
    folders = [
        stranger,
        certificates.signed(ours, tmp_path / "expired", [ENVOY], begins=-2 * DAY, ends=-DAY / 24),
        certificates.signed(ours, tmp_path / "early", [ENVOY], begins=DAY, ends=2 * DAY),
    ]

    assert [await refused(secured(running, service, folder), service) for folder in folders] == [True, True, True]


ODD: dict[str, list[x509.GeneralName]] = {
    "no name": [],
    "another trust domain": [x509.UniformResourceIdentifier("spiffe://elsewhere/envoy")],
    "two ids": [x509.UniformResourceIdentifier("spiffe://voicemesh/worker"), ENVOY],
    "two ids, of two domains": [ENVOY, x509.UniformResourceIdentifier("spiffe://elsewhere/envoy")],
    "a longer path": [x509.UniformResourceIdentifier("spiffe://voicemesh/envoy/x")],
    "another case": [x509.UniformResourceIdentifier("spiffe://voicemesh/ENVOY")],
    "only a DNS name": [x509.DNSName("envoy.voicemesh.internal")],
}
"""Certificates that our authority signed, of which none is Envoy's (X.509-SVID, section 2: exactly one URI)."""


@pytest.mark.parametrize("names", ODD)
async def test_a_certificate_that_does_not_say_exactly_one_process_is_nobodys(
    running: Mesh, tmp_path: Path, names: str, ada: Person
) -> None:
    folder = certificates.signed(running.state.certificates, tmp_path / "odd", ODD[names])
    method = next(each for each in SHOWN.methods if each.path.endswith("/GetVoice"))
    user = ada.session["user"].removeprefix("users/")

    async with secured(running, "voice", folder) as channel:
        answer = await calls.by_grpc(channel, method, asking.request(method, ada.names), signed_in(user))

    assert answer.said == ("PERMISSION_DENIED", "PEER_NOT_ALLOWED")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=lambda version: version.name)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_old_versions_of_tls_are_refused(running: Mesh, version: ssl.TLSVersion) -> None:
    folder = running.tls["envoy"]
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    host, port = running.address("voice").split(":")

    with pytest.raises(OSError, match=r"(?i)ssl|reset|protocol|version|^$"):
        await asyncio.open_connection(host, int(port), ssl=context, server_hostname="voice.voicemesh.internal")
