"""The storage service, being served, and what it keeps where."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from voicemesh.storage.v1 import storage_pb2_grpc

from services.storage.app import open_app
from services.storage.settings import Settings
from tests.peers import Served, served


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the bytes are kept."""
    return tmp_path_factory.mktemp("objects") / "root"


@pytest.fixture(scope="module")
def settings(database: str, certificates: dict[str, Path], root: Path) -> Settings:
    """With a cap of 1 MiB."""
    return Settings(
        listen="127.0.0.1:0",
        tls=certificates["storage"],
        database_url=database,
        root=str(root),
        page_token_key=Fernet.generate_key().decode(),
        largest_file_bytes=1 << 20,
        drain_seconds=0,
    )


@pytest.fixture(scope="module")
async def service(settings: Settings, certificates: dict[str, Path]) -> AsyncIterator[Served]:
    async with served("storage", open_app, settings, certificates) as running:
        yield running


@pytest.fixture(scope="module")
async def storage(service: Served) -> AsyncIterator[storage_pb2_grpc.StorageServiceAsyncStub]:
    """As Envoy calls it."""
    async with service.channel() as channel:
        yield storage_pb2_grpc.StorageServiceStub(channel)


@pytest.fixture(scope="module")
async def as_worker(service: Served) -> AsyncIterator[storage_pb2_grpc.StorageServiceAsyncStub]:
    """As the worker calls it."""
    async with service.channel("worker") as channel:
        yield storage_pb2_grpc.StorageServiceStub(channel)


@pytest.fixture(scope="module")
async def as_user(service: Served) -> AsyncIterator[storage_pb2_grpc.StorageServiceAsyncStub]:
    """As the user service calls it."""
    async with service.channel("user") as channel:
        yield storage_pb2_grpc.StorageServiceStub(channel)
