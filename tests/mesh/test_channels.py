"""Channels to siblings over real mTLS: renewed certificates are taken up without a restart."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import pytest
from cryptography.fernet import Fernet
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc

from services.auth.app import open_app
from services.auth.settings import Settings
from services.local import certificates as authority
from services.mesh.channels import LOOK_SECONDS, open_channel
from services.mesh.status import reason
from tests.peers import Served, served

CONTRACT = "voicemesh.auth.v1.AuthService"


@pytest.fixture
def tls(tmp_path: Path) -> dict[str, Path]:
    """Certificates of this test's own, which it may replace."""
    return authority.ensure(tmp_path / "certificates")


@pytest.fixture
async def auth(new_database: Callable[[], str], tls: dict[str, Path]) -> AsyncIterator[Served]:
    settings = Settings(
        listen="127.0.0.1:0",
        tls=tls["auth"],
        database_url=new_database(),
        key_encryption_key=Fernet.generate_key().decode(),
        bcrypt_cost=4,
        drain_seconds=0,
    )
    async with served("auth", open_app, settings, tls) as running:
        yield running


def replace(folder: Path, by: Path) -> None:
    """Puts other files into a certificate folder, as a renewal does."""
    for name in ("tls.crt", "tls.key", "ca.crt"):
        shutil.copyfile(by / name, folder / name)


async def test_a_client_takes_up_a_new_certificate(auth: Served, tls: dict[str, Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(tls["user"], mine)
    async with open_channel(auth.address, "auth", CONTRACT, mine) as channel:
        stub = auth_pb2_grpc.AuthServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as before:
            await stub.GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())
        replace(mine, tls["gateway"])
        await asyncio.sleep(LOOK_SECONDS)
        after = await stub.GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())

    assert reason(before.value) == "PEER_NOT_ALLOWED"
    assert after.keys


async def test_both_ends_take_up_a_new_authority(auth: Served, tls: dict[str, Path], tmp_path: Path) -> None:
    other = authority.ensure(tmp_path / "others")
    async with open_channel(auth.address, "auth", CONTRACT, tls["gateway"]) as channel:
        stub = auth_pb2_grpc.AuthServiceStub(channel)
        await stub.GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())
        for process, folder in tls.items():
            replace(folder, other[process])
        await asyncio.sleep(LOOK_SECONDS)
        after = await stub.GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest(), wait_for_ready=True, timeout=20)
    stranger = authority.ensure(tmp_path / "strangers")["gateway"]
    async with open_channel(auth.address, "auth", CONTRACT, stranger) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await auth_pb2_grpc.AuthServiceStub(channel).GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())

    assert after.keys
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_server_that_is_another_process_is_not_believed(auth: Served, tls: dict[str, Path]) -> None:
    async with open_channel(auth.address, "voice", CONTRACT, tls["gateway"]) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await auth_pb2_grpc.AuthServiceStub(channel).GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())

    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
