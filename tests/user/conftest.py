"""The user service, being served, among siblings whose answers a test chooses."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from google.protobuf import timestamp_pb2
from voicemesh.auth.v1 import auth_pb2
from voicemesh.user.v1 import user_pb2_grpc

from services.mesh import names
from services.user.app import open_app
from services.user.settings import Settings
from tests.peers import Metadata, served, signed_in
from tests.user.siblings import Answers, siblings


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
async def settings(answers: Answers, database: str, certificates: dict[str, Path]) -> AsyncIterator[Settings]:
    async with siblings(answers, certificates) as running:
        yield Settings(
            listen="127.0.0.1:0",
            tls=certificates["user"],
            database_url=database,
            page_token_key=Fernet.generate_key().decode(),
            auth_address=running["auth"].address,
            voice_address=running["voice"].address,
            storage_address=running["storage"].address,
            drain_seconds=0,
        )


@pytest.fixture
async def user(settings: Settings, certificates: dict[str, Path]) -> AsyncIterator[user_pb2_grpc.UserServiceAsyncStub]:
    """As Envoy calls it."""
    async with served("user", open_app, settings, certificates) as service, service.channel() as channel:
        yield user_pb2_grpc.UserServiceStub(channel)


@pytest.fixture
def ada(answers: Answers) -> Metadata:
    """A user with an account."""
    id = names.new_id()
    answers.accounts[id] = auth_pb2.Account(
        user=f"users/{id}", email="ada@example.org", create_time=timestamp_pb2.Timestamp(seconds=1_700_000_000)
    )
    return signed_in(id, session="session-1", scopes="user:read user:write")


@pytest.fixture
def ada_id(ada: Metadata) -> str:
    return ada[0][1]
