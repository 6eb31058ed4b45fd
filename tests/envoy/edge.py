"""A real Envoy in front of the real gateway and of small services, all over mTLS."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sysconfig
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
from voicemesh.auth.v1 import auth_pb2_grpc
from voicemesh.storage.v1 import storage_pb2_grpc
from voicemesh.user.v1 import user_pb2_grpc
from voicemesh.voice.v1 import speech_pb2_grpc, voice_pb2_grpc

from services.gateway.app import open_app
from services.gateway.settings import Settings
from services.local import envoy
from services.mesh.server import Application, Servicer, serving
from services.mesh.settings import MeshSettings
from tests.envoy import stubs
from tests.issuer import Issuer

PROGRAM = Path(sysconfig.get_path("scripts")) / "envoy"
Ports = Callable[[], int]


@dataclass
class Edge:
    """Envoy, running, and what stands behind it."""

    port: int
    admin: int
    issuer: Issuer
    seen: stubs.Seen
    voice: stubs.Voice
    log: Path
    ports: dict[str, int]

    def bearer(self, **claims: object) -> dict[str, str]:
        """The header of a good credential."""
        return {"authorization": f"Bearer {self.issuer.token(**claims)}"}

    def http(self, *, signed_in: bool = True, scheme: str = "http", **options: Any) -> httpx.AsyncClient:
        """A REST client."""
        headers = self.bearer() if signed_in else {}
        return httpx.AsyncClient(base_url=f"{scheme}://127.0.0.1:{self.port}", headers=headers, timeout=40, **options)

    def grpc(self) -> grpc.aio.Channel:
        """A native gRPC channel."""
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.port}")

    def metadata(self, **claims: object) -> tuple[tuple[str, str], ...]:
        """The metadata of a good credential."""
        return tuple(self.bearer(**claims).items())

    async def get(self, path: str, **options: Any) -> httpx.Response:
        """What a signed-in REST caller gets."""
        async with self.http() as client:
            return await client.get(path, **options)

    async def logged(self, request_id: str) -> dict[str, Any]:
        """The line of the access log about a request, once it is written."""

        def lines() -> list[str]:
            return [line for line in self.log.read_text().splitlines() if request_id in line]

        await until(lambda: bool(lines()))
        found: dict[str, Any] = json.loads(lines()[0])
        return found

    async def ask_admin(self, path: str) -> str:
        """What the admin page says."""
        async with httpx.AsyncClient() as client:
            return (await client.get(f"http://127.0.0.1:{self.admin}{path}")).text


def services(issuer: Issuer, seen: stubs.Seen, voice: stubs.Voice) -> dict[str, list[Servicer]]:
    """The stubs of each process."""
    auth, user, storage, speech = stubs.Auth(issuer, seen), stubs.User(seen), stubs.Storage(seen), stubs.Speech(seen)
    return {
        "auth": [
            Servicer(
                "voicemesh.auth.v1.AuthService", lambda s: auth_pb2_grpc.add_AuthServiceServicer_to_server(auth, s)
            )
        ],
        "user": [
            Servicer(
                "voicemesh.user.v1.UserService", lambda s: user_pb2_grpc.add_UserServiceServicer_to_server(user, s)
            )
        ],
        "storage": [
            Servicer(
                "voicemesh.storage.v1.StorageService",
                lambda s: storage_pb2_grpc.add_StorageServiceServicer_to_server(storage, s),
            )
        ],
        "voice": [
            Servicer(
                "voicemesh.voice.v1.VoiceService",
                lambda s: voice_pb2_grpc.add_VoiceServiceServicer_to_server(voice, s),
            ),
            Servicer(
                "voicemesh.voice.v1.SpeechService",
                lambda s: speech_pb2_grpc.add_SpeechServiceServicer_to_server(speech, s),
            ),
        ],
    }


@asynccontextmanager
async def running(
    certificates: dict[str, Path],
    folder: Path,
    port: Ports,
    *,
    without: Sequence[str] = (),
    ports: dict[str, int] | None = None,
    **options: Any,
) -> AsyncIterator[Edge]:
    """Runs Envoy, the gateway and the stubs, but not those named in `without`; `ports` for those that must be known,
    `limits` for settings of the gateway."""
    issuer, seen = Issuer(), stubs.Seen()
    voice = stubs.Voice(seen)
    known = {process: port() for process in ("auth", "user", "storage", "voice", "gateway")} | (ports or {})
    async with AsyncExitStack() as stack:
        for process, servicers in services(issuer, seen, voice).items():
            if process not in without:
                settings = MeshSettings(
                    listen=f"127.0.0.1:{known[process]}", tls=certificates[process], drain_seconds=0
                )
                await stack.enter_async_context(serving(Application(servicers), settings))
        if "gateway" not in without:
            gateway = Settings(
                listen=f"127.0.0.1:{known['gateway']}",
                tls=certificates["gateway"],
                auth_address=f"127.0.0.1:{known['auth']}",
                keys_refetch_seconds=0.01,
                drain_seconds=0,
                **{"user_rate": "", "user_costly_rate": "", **options.pop("limits", {})},
            )
            application = await stack.enter_async_context(open_app(gateway))
            await stack.enter_async_context(serving(application, gateway))
        listen, admin = port(), port()
        configuration = envoy.write(
            folder,
            certificates=options.pop("envoys", certificates["envoy"]),
            listen=("127.0.0.1", listen),
            services={process: ("127.0.0.1", number) for process, number in known.items()},
            admin=("127.0.0.1", admin),
            access_log=str(folder / "access.log"),
            **{"rate_per_second": 10_000, "rate_burst": 10_000, "sign_ins_per_minute": 1000, **options},
        )
        with envoy_process(configuration, folder / "envoy.log"):
            edge = Edge(listen, admin, issuer, seen, voice, folder / "access.log", known)
            await until_live(edge)
            yield edge


@contextmanager
def envoy_process(configuration: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs Envoy within the block. It dies with the thread that started it, which is this one."""
    options = ["--use-dynamic-base-id", "--concurrency", "2", "-l", "warning", "--file-flush-interval-msec", "50"]
    with log.open("wb") as file:
        process = subprocess.Popen([PROGRAM, "-c", configuration, *options], stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def until_live(edge: Edge) -> None:
    """Waits until Envoy listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                if (await edge.ask_admin("/ready")).startswith("LIVE"):
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)
