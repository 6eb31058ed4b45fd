"""The edge with a certificate of its own: HTTPS, and nothing that is older or weaker."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from voicemesh.voice.v1 import voice_pb2, voice_pb2_grpc

from services.local import edge as local
from services.local.errors import LocalError
from services.local.state import private
from tests.envoy.edge import Edge, Ports, running, until

Certificates = dict[str, Path]


def certify(folder: Path, *, begins: int = -1, ends: int = 1) -> None:
    """Puts a certificate of its own for this machine into the folder, good for the days from `begins` to `ends`."""
    now = datetime.datetime.now(datetime.UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    days = (now + datetime.timedelta(days=days) for days in (begins, ends))
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), *days)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(exist_ok=True)
    plain = serialization.NoEncryption()
    private(folder / "tls.crt", certificate.public_bytes(serialization.Encoding.PEM))
    private(
        folder / "tls.key",
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain),
    )


def handshake(edge: Edge, folder: Path, **options: object) -> ssl.SSLSocket:
    """A connection to the edge that trusts the folder's certificate alone; raises ssl.SSLError."""
    trust = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    trust.set_ciphers("DEFAULT@SECLEVEL=0")
    trust.set_alpn_protocols(options.pop("protocols", []))  # type: ignore[arg-type]
    for name, value in options.items():
        setattr(trust, name, value)
    with socket.create_connection(("127.0.0.1", edge.port), timeout=10) as plain:
        return trust.wrap_socket(plain, server_hostname="localhost")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the edge shows."""
    found = tmp_path_factory.mktemp("tls")
    certify(found)
    return found


@pytest.fixture(scope="module")
async def edge(
    certificates: Certificates, folder: Path, tmp_path_factory: pytest.TempPathFactory, port: Ports
) -> AsyncIterator[Edge]:
    """An edge that speaks TLS."""
    async with running(certificates, tmp_path_factory.mktemp("envoy"), port, tls=folder) as edge:
        yield edge


async def test_rest_over_tls(edge: Edge, folder: Path) -> None:
    trust = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    async with edge.http(scheme="https", verify=trust) as client:
        good = await client.get("/v1/voices/1")
        refused = await client.get("/v1/voices/a%2Fb")
    with pytest.raises(httpx.TransportError):
        await edge.get("/v1/voices/1")

    assert (good.status_code, refused.status_code) == (200, 400)
    for answer in (good, refused):
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_grpc_over_tls(edge: Edge, folder: Path) -> None:
    credentials = grpc.ssl_channel_credentials((folder / "tls.crt").read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{edge.port}", credentials) as channel:
        stub = voice_pb2_grpc.VoiceServiceStub(channel)
        voice = await stub.GetVoice(voice_pb2.GetVoiceRequest(name="voices/7"), metadata=edge.metadata(), timeout=20)

    assert voice.name == "voices/7"


@pytest.mark.parametrize(
    ("offered", "taken"), [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["spdy/3"], None), ([], None)]
)
async def test_the_protocol_is_agreed_upon(edge: Edge, folder: Path, offered: list[str], taken: str | None) -> None:
    with await asyncio.to_thread(handshake, edge, folder, protocols=offered) as connection:
        assert connection.selected_alpn_protocol() == taken
        assert connection.version() == "TLSv1.3"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_tls_is_1_2_or_newer(edge: Edge, folder: Path) -> None:
    older = {"minimum_version": ssl.TLSVersion.TLSv1, "maximum_version": ssl.TLSVersion.TLSv1_1}
    with await asyncio.to_thread(handshake, edge, folder, maximum_version=ssl.TLSVersion.TLSv1_2) as connection:
        assert connection.version() == "TLSv1.2"
        name, _, bits = connection.cipher() or ("", "", 0)

    assert "ECDHE" in name
    assert bits >= 128
    with pytest.raises(ssl.SSLError, match=r"(?i)alert.protocol.version"):  # The edge refuses, not this client.
        await asyncio.to_thread(handshake, edge, folder, **older)


async def test_a_renewed_certificate_is_shown_without_a_restart(
    certificates: Certificates, tmp_path: Path, port: Ports
) -> None:
    folder = tmp_path / "tls"
    certify(folder)
    trust = ssl.create_default_context(cafile=str(folder / "tls.crt"))
    async with (
        running(certificates, tmp_path / "envoy", port, tls=folder) as edge,
        edge.http(scheme="https", verify=trust) as before,
    ):
        assert (await before.get("/v1/voices/1")).status_code == 200
        certify(folder)
        fresh = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())

        def shown() -> bool:
            try:
                with handshake(edge, folder) as connection:
                    return connection.getpeercert(binary_form=True) == fresh.public_bytes(serialization.Encoding.DER)
            except ssl.SSLCertVerificationError:
                return False

        await until(shown)
        # The connections of before go on.
        assert (await before.get("/v1/voices/1")).status_code == 200


def test_a_certificate_that_is_good_is_taken(tmp_path: Path) -> None:
    certify(tmp_path)

    local.check(tmp_path)


def test_a_certificate_that_is_not_good_is_told_before_anything_starts(tmp_path: Path) -> None:
    for days, what in (((-3, -1), "good only until"), ((1, 2), "good only")):
        certify(tmp_path, begins=days[0], ends=days[1])
        with pytest.raises(LocalError, match=what):
            local.check(tmp_path)
    certify(tmp_path)
    (tmp_path / "tls.key").write_bytes(b"no key")
    with pytest.raises(LocalError, match="not the unencrypted key"):
        local.check(tmp_path)
    with pytest.raises(LocalError, match="no certificate"):
        local.check(tmp_path / "nowhere")
