"""Certificates and the CA itself are replaced while the mesh works, and not one call fails of it."""

from __future__ import annotations

import asyncio
import datetime
import shutil
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
import httpx
import pytest
from cryptography import x509

from services.local import authority, certificates
from services.local.mesh import Mesh
from services.mesh.channels import LOOK_SECONDS
from services.mesh.credentials import channel_credentials
from tests.security import calls, shots
from tests.security.people import Person

SERVICES = ("auth", "user", "storage", "voice", "gateway")
PATHS = ("/v1/users/me", "/v1/users/me/usage", "/v1/files")
"""Through Envoy to the gateway, and on: user asks auth for the profile, and voice and storage for the usage."""
ROUNDS = 10 if shots.WHOLE else 2


@asynccontextmanager
async def load(person: Person) -> AsyncIterator[Counter[int]]:
    """Calls through every hop of the mesh, one after the other on each of four ways, and what came of them."""
    seen: Counter[int] = Counter()
    stop = asyncio.Event()

    async def go(path: str) -> None:
        while not stop.is_set():
            answer = await calls.send(person.rest, "GET", path, headers=dict(person.bearer))
            seen[answer.http] += 1

    running = [asyncio.create_task(go(path)) for path in (*PATHS, PATHS[0])]
    try:
        yield seen
    finally:
        stop.set()
        await asyncio.gather(*running)


def serial(running: Mesh, process: str) -> int:
    """Of the certificate that a process should show now."""
    return x509.load_pem_x509_certificate((running.tls[process] / "tls.crt").read_bytes()).serial_number


async def shown(running: Mesh, service: str, folder: Path) -> int:
    """The serial number of the certificate that a service shows to whoever comes with the one in the folder."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.set_alpn_protocols(["h2"])
    host, port = running.address(service).split(":")
    name = f"{service}.{certificates.DOMAIN}"
    _, writer = await asyncio.open_connection(host, int(port), ssl=context, server_hostname=name)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der).serial_number
    finally:
        writer.close()


async def at_envoy(running: Mesh) -> str:
    """What Envoy says of its certificates."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"http://127.0.0.1:{running.layout.admin}/certs")).text


def renewals(running: Mesh, process: str) -> int:
    """How often a process has built its channels anew."""
    return (running.state.logs / f"{process}.log").read_text("utf-8").count("certificate renewed")


async def taken_up(running: Mesh, before: int) -> None:
    """Waits until all three directions use what is in the files now: servers, Envoy, and channels to siblings."""
    async with asyncio.timeout(30):
        for service in SERVICES:
            while await shown(running, service, running.tls["envoy"]) != serial(running, service):
                await asyncio.sleep(0.1)
        while f"{serial(running, 'envoy'):x}" not in await at_envoy(running):
            await asyncio.sleep(0.1)
        # The others' channels look again when they are used, which these calls do not need them for.
        while renewals(running, "user") == before:
            await asyncio.sleep(0.1)


async def turn(running: Mesh, *, anew: bool) -> None:
    """Writes certificates, and waits until they are in use."""
    before = renewals(running, "user")
    await asyncio.to_thread(certificates.ensure, running.state.certificates, anew=anew)
    await taken_up(running, before)
    await asyncio.sleep(LOOK_SECONDS)


async def test_certificates_are_renewed_under_load(running: Mesh, eve: Person) -> None:
    async with load(eve) as seen:
        for _ in range(ROUNDS):
            await turn(running, anew=True)

    assert set(seen) == {200}
    assert seen[200] > 20 * ROUNDS


async def test_the_ca_is_replaced_under_load(running: Mesh, eve: Person, tmp_path: Path) -> None:
    """Announced, in charge, the old one retired: then what the old one signed is worth nothing."""
    now = datetime.datetime.now(datetime.UTC)
    async with load(eve) as seen:
        authority.announce(running.state.certificates, now)
        await turn(running, anew=True)
        old = shutil.copytree(running.tls["envoy"], tmp_path / "old")
        authority.succeed(running.state.certificates)
        await turn(running, anew=False)
        with_the_old = await shown(running, "voice", old)
        authority.retire(running.state.certificates)
        await turn(running, anew=True)
    options = (("grpc.ssl_target_name_override", f"voice.{certificates.DOMAIN}"),)
    (old / "ca.crt").write_bytes((running.tls["envoy"] / "ca.crt").read_bytes())
    stolen = grpc.aio.secure_channel(running.address("voice"), channel_credentials(old), options=options)
    async with stolen:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stolen.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=5)

    assert set(seen) == {200}
    assert with_the_old
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
