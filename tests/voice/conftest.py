"""The voice service with a real engine, a real storage service behind it, and workers when asked for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc
from voicemesh.voice.v1 import (
    consent_pb2_grpc,
    provenance_pb2_grpc,
    speech_pb2_grpc,
    voice_pb2,
    voice_pb2_grpc,
)

from services.mesh import names
from services.storage import app as storage_app
from services.storage.settings import Settings as StorageSettings
from services.voice import app as voice_app
from services.voice.engine import registry
from services.voice.refinements import Wish
from services.voice.settings import Settings
from services.voice.worker import work_until
from tests.peers import Metadata, Served, served, signed_in

SAMPLE = Path(__file__).parents[2] / "examples" / "sample" / "robin.flac"

Install = Callable[[str, str, str], None]


@dataclass(frozen=True)
class Platform:
    """Voice and storage, being served, and their stubs as Envoy would use them."""

    settings: Settings
    voice: Served
    storage: Served
    voices: voice_pb2_grpc.VoiceServiceAsyncStub
    speeches: speech_pb2_grpc.SpeechServiceAsyncStub
    consents: consent_pb2_grpc.ConsentServiceAsyncStub
    provenance: provenance_pb2_grpc.ProvenanceServiceAsyncStub
    files: storage_pb2_grpc.StorageServiceAsyncStub
    worker: Callable[[], AbstractAsyncContextManager[None]]
    """A worker in this process, as long as the block lasts."""

    async def upload(self, who: Metadata, content: bytes) -> str:
        """Stores a recording; gives its name."""

        async def pieces() -> AsyncIterator[storage_pb2.UploadFileRequest]:
            for start in range(0, len(content), 1 << 20):
                data = content[start : start + (1 << 20)]
                yield storage_pb2.UploadFileRequest(content=httpbody_pb2.HttpBody(data=data))

        file: storage_pb2.File = await self.files.UploadFile(pieces(), metadata=who)
        return file.name

    async def create(self, who: Metadata, *recordings: str, request_id: str = "") -> voice_pb2.Voice:
        """Starts learning a voice."""
        created: voice_pb2.Voice = await self.voices.CreateVoice(
            new_voice(*recordings, request_id=request_id), metadata=who
        )
        return created

    async def until_final(self, who: Metadata, name: str) -> list[voice_pb2.WatchVoiceResponse]:
        """All that a watch of a voice sends."""
        call = self.voices.WatchVoice(voice_pb2.WatchVoiceRequest(name=name), metadata=who, timeout=180)
        return [event async for event in call]

    async def ready(self, who: Metadata) -> voice_pb2.Voice:
        """A voice learned from the sample; needs a worker."""
        created = await self.create(who, await self.upload(who, SAMPLE.read_bytes()))
        voice = (await self.until_final(who, created.name))[-1].voice
        assert voice.state == voice_pb2.Voice.READY, voice.failure
        return voice


def new_voice(*recordings: str, request_id: str = "") -> voice_pb2.CreateVoiceRequest:
    """A request that lacks nothing."""
    return voice_pb2.CreateVoiceRequest(
        voice=voice_pb2.Voice(
            display_name="Ada",
            recordings=recordings,
            consent=voice_pb2.Consent(statement="I agree that my voice is learned.", given_by="Ada"),
        ),
        request_id=request_id,
    )


@pytest.fixture
def ada() -> Metadata:
    """A user of this test alone."""
    return signed_in(names.new_id())


@pytest.fixture
def eve() -> Metadata:
    """Another user."""
    return signed_in(names.new_id())


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs a package that brings an engine, as far as importlib can tell."""

    def installed(package: str, name: str, value: str) -> None:
        folder = tmp_path / f"{package}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (folder / "entry_points.txt").write_text(f"[{registry.GROUP}]\n{name} = {value}\n")

    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return installed


@pytest.fixture(scope="session")
async def platform(
    new_database: Callable[[], str], certificates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Platform]:
    # A refinement takes minutes, and would go on beside whatever is tested next.
    root = tmp_path_factory.mktemp("objects")
    async with opened(new_database, certificates, root, refinement=Wish.NONE) as found:
        yield found


@asynccontextmanager
async def opened(
    new_database: Callable[[], str], certificates: dict[str, Path], root: Path, **options: Any
) -> AsyncIterator[Platform]:
    """A platform with databases of its own; `options` are settings of the voice service and of its workers."""
    storage_settings = StorageSettings(
        listen="127.0.0.1:0",
        tls=certificates["storage"],
        database_url=new_database(),
        root=str(root),
        page_token_key=Fernet.generate_key().decode(),
        drain_seconds=0,
    )
    async with served("storage", storage_app.open_app, storage_settings, certificates) as storage:
        settings = Settings(
            listen="127.0.0.1:0",
            tls=certificates["voice"],
            database_url=new_database(),
            storage_address=storage.address,
            page_token_key=Fernet.generate_key().decode(),
            keep_alive_seconds=0.5,
            heartbeat_seconds=0.5,
            stalled_seconds=2,
            drain_seconds=0,
            **options,
        )
        of_worker = settings.model_copy(update={"tls": certificates["worker"]})
        async with (
            served("voice", voice_app.open_app, settings, certificates) as voice,
            voice.channel() as to_voice,
            storage.channel() as to_storage,
        ):
            yield Platform(
                of_worker,
                voice,
                storage,
                voice_pb2_grpc.VoiceServiceStub(to_voice),
                speech_pb2_grpc.SpeechServiceStub(to_voice),
                consent_pb2_grpc.ConsentServiceStub(to_voice),
                provenance_pb2_grpc.ProvenanceServiceStub(to_voice),
                storage_pb2_grpc.StorageServiceStub(to_storage),
                lambda: working(of_worker),
            )


@asynccontextmanager
async def working(settings: Settings) -> AsyncIterator[None]:
    """A worker in this process."""
    stop = asyncio.Event()
    task = asyncio.create_task(work_until(stop, settings))
    try:
        yield
    finally:
        stop.set()
        await task
