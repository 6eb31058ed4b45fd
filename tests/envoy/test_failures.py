"""What callers see when a part of the platform is gone, hangs, drains or is not what it says it is."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from voicemesh.voice.v1 import voice_pb2, voice_pb2_grpc

from services.local import certificates as authority
from services.mesh.server import Application, serving
from services.mesh.settings import MeshSettings
from services.mesh.status import reason
from tests.envoy import stubs
from tests.envoy.edge import Edge, Ports, running, services, until
from tests.envoy.process import started
from tests.issuer import Issuer

Certificates = dict[str, Path]
LOGIN = {"email": "a@b.test", "password": "12345678"}


async def native(edge: Edge, **options) -> grpc.aio.AioRpcError | None:
    """What comes of a native call."""
    async with edge.grpc() as channel:
        try:
            await voice_pb2_grpc.VoiceServiceStub(channel).GetVoice(
                voice_pb2.GetVoiceRequest(name="voices/1"), metadata=edge.metadata(), **options
            )
        except grpc.aio.AioRpcError as error:
            return error
    return None


def unavailable(response: httpx.Response) -> bool:
    """Whether this is the one answer for everything that is gone."""
    body = response.json()
    assert (response.status_code, body["code"]) == (503, 14)
    assert body["details"][0]["reason"] == "UNAVAILABLE"
    assert body["details"][1]["retry_delay"] == "1s"
    assert response.headers["retry-after"] == "1"
    assert "upstream" not in body["message"]
    return True


async def eventually(ask: Callable[[], Awaitable[httpx.Response]], status: int) -> httpx.Response:
    """The first answer with this status."""
    async with asyncio.timeout(30):
        while (response := await ask()).status_code != status:
            await asyncio.sleep(0.05)
    return response


async def test_without_a_service_its_methods_are_unavailable_and_others_work(
    certificates: Certificates, tmp_path: Path, port: Ports
) -> None:
    async with running(certificates, tmp_path, port, without=["voice"]) as edge:
        assert unavailable(await edge.get("/v1/voices/1"))
        assert unavailable(await edge.get("/v1/voices/1:watch"))
        error = await native(edge)
        assert error is not None
        assert (error.code(), reason(error)) == (grpc.StatusCode.UNAVAILABLE, "UNAVAILABLE")
        assert (await edge.get("/v1/users/me")).status_code == 200


async def test_without_the_gateway_nothing_is_let_through(
    certificates: Certificates, tmp_path: Path, port: Ports
) -> None:
    async with running(certificates, tmp_path, port, without=["gateway"]) as edge, edge.http(signed_in=False) as client:
        assert unavailable(await edge.get("/v1/voices/1"))
        assert unavailable(await client.post("/v1/auth:login", json=LOGIN))
        error = await native(edge)
        assert error is not None
        assert error.code() == grpc.StatusCode.UNAVAILABLE
        assert edge.seen.calls == 0


async def test_without_keys_no_credential_is_good_or_bad_but_some_is_still_needed(
    certificates: Certificates, tmp_path: Path, port: Ports
) -> None:
    async with running(certificates, tmp_path, port, without=["auth"]) as edge, edge.http(signed_in=False) as client:
        assert unavailable(await edge.get("/v1/voices/1"))
        assert (await client.get("/v1/voices/1")).status_code == 401
        assert edge.seen.calls == 0


async def test_a_hanging_gateway_is_given_up(certificates: Certificates, tmp_path: Path, port: Ports) -> None:
    number = port()
    settings = {"LISTEN": f"127.0.0.1:{number}", "TLS": str(certificates["gateway"]), "AUTH_ADDRESS": "127.0.0.1:1"}
    environment = {f"VOICEMESH_GATEWAY_{name}": value for name, value in settings.items()}
    with started("services.gateway", **environment) as gateway:
        async with running(certificates, tmp_path, port, without=["gateway"], ports={"gateway": number}) as edge:
            async with edge.http(signed_in=False) as client:
                await eventually(lambda: client.post("/v1/auth:login", json=LOGIN), 200)
                gateway.suspend()
                began = time.monotonic()
                response = await client.post("/v1/auth:login", json=LOGIN)
                took = time.monotonic() - began

            assert unavailable(response)
            assert took < 5


async def test_a_hanging_service_is_found_out(certificates: Certificates, tmp_path: Path, port: Ports) -> None:
    number = port()
    words = ("voice", f"127.0.0.1:{number}", str(certificates["voice"]))
    with started("tests.envoy.process", *words) as voice:
        async with running(certificates, tmp_path, port, without=["voice"], ports={"voice": number}) as edge:
            await eventually(lambda: edge.get("/v1/voices/1"), 200)
            voice.suspend()
            began = time.monotonic()
            responses = await asyncio.gather(*(edge.get("/v1/voices/1") for _ in range(20)))
            took = time.monotonic() - began

            assert all(unavailable(response) for response in responses)
            assert took < 25  # Well before the deadline of 30 seconds.

            voice.resume()
            assert await eventually(lambda: edge.get("/v1/voices/1"), 200)


async def test_calls_under_way_are_finished_when_a_service_drains(
    certificates: Certificates, tmp_path: Path, port: Ports
) -> None:
    number = port()
    seen = stubs.Seen()
    voice = stubs.Voice(seen)
    settings = MeshSettings(listen=f"127.0.0.1:{number}", tls=certificates["voice"], drain_seconds=20)
    application = Application(services(Issuer(), seen, voice)["voice"])
    stop, up = asyncio.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(application, settings):
            up.set()
            await stop.wait()

    server = asyncio.create_task(serve())
    await up.wait()
    async with running(certificates, tmp_path, port, without=["voice"], ports={"voice": number}) as edge:
        slow = asyncio.create_task(edge.get("/v1/voices/slow"))
        watch = asyncio.create_task(edge.get("/v1/voices/1:watch"))
        await until(lambda: seen.calls == 2)
        stop.set()
        # New calls are refused, which is when Envoy has noticed.
        assert unavailable(await eventually(lambda: edge.get("/v1/voices/1"), 503))
        voice.release.set()

        assert (await slow).status_code == 200
        assert '"stopping"' in (await watch).text
    await server


async def test_a_service_must_be_who_it_should_be(certificates: Certificates, tmp_path: Path, port: Ports) -> None:
    wrong = {**certificates, "voice": certificates["storage"]}

    async with running(wrong, tmp_path, port) as edge:
        assert unavailable(await edge.get("/v1/voices/1"))
        assert edge.seen.calls == 0
        assert (await edge.get("/v1/users/me")).status_code == 200


async def test_beyond_the_rate_of_an_address_it_is_told_to_slow_down(
    certificates: Certificates, tmp_path: Path, port: Ports
) -> None:
    async with running(certificates, tmp_path, port, rate_per_second=1, rate_burst=3) as edge:
        async with edge.http(signed_in=False) as client:
            responses = [await client.get("/v1/voices/1") for _ in range(20)]
        refused = [response for response in responses if response.status_code == 429]
        error = await native(edge)

    assert {response.status_code for response in responses} == {401, 429}
    assert len(refused) >= 10
    assert refused[0].json()["code"] == 8
    assert refused[0].json()["details"][0]["reason"] == "RATE_LIMITED"
    assert refused[0].headers["retry-after"] == "1"
    assert "x-request-id" in refused[0].headers
    assert error is not None
    assert (error.code(), reason(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED")


def renewed_in_place(folder: Path) -> None:
    """As `voicemesh up` renews: file by file, each by a rename."""
    (folder / "tls.key").unlink()
    authority.ensure(folder.parent)


def renewed_by_kubernetes(folder: Path) -> None:
    """As Kubernetes renews a mounted secret: the files are links through `..data`, which is replaced."""
    fresh = folder / "..fresh"
    shutil.copytree(authority.ensure(folder.parent / "elsewhere")["envoy"], fresh)
    shutil.copy(folder / "ca.crt", fresh / "ca.crt")
    link = folder / "..new"
    link.symlink_to(fresh.name)
    link.replace(folder / "..data")


def mounted_by_kubernetes(folder: Path) -> None:
    """Lays out a folder of certificates as Kubernetes does."""
    (folder / "..old").mkdir()
    (folder / "..data").symlink_to("..old")
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (folder / name).rename(folder / "..old" / name)
        (folder / name).symlink_to(Path("..data") / name)


@pytest.mark.parametrize(
    ("prepare", "renew"),
    [(lambda folder: None, renewed_in_place), (mounted_by_kubernetes, renewed_by_kubernetes)],
    ids=["in place", "kubernetes"],
)
async def test_a_renewed_certificate_is_used_without_a_restart(
    certificates: Certificates, tmp_path: Path, port: Ports, prepare, renew
) -> None:
    own = tmp_path / "certificates" / "envoy"
    shutil.copytree(certificates["envoy"].parent, own.parent)
    prepare(own)

    def serial() -> str:
        return f"{x509.load_pem_x509_certificate((own / 'tls.crt').read_bytes()).serial_number:x}"

    old = serial()
    async with running(certificates, tmp_path / "conf", port, envoys=own) as edge:
        assert old in await edge.ask_admin("/certs")
        renew(own)
        async with asyncio.timeout(20):
            while serial() not in await edge.ask_admin("/certs"):
                await asyncio.sleep(0.05)

        assert serial() != old


async def test_the_edge_can_speak_tls(certificates: Certificates, tmp_path: Path, port: Ports) -> None:
    async with running(certificates, tmp_path, port, tls=certificates["envoy"]) as edge:
        trust = ssl.create_default_context(cafile=str(certificates["envoy"] / "ca.crt"))
        trust.check_hostname = False
        async with edge.http(scheme="https", verify=trust) as client:
            response = await client.get("/v1/voices/1")
        with pytest.raises(httpx.TransportError):
            await edge.get("/v1/voices/1")

    assert response.status_code == 200
