"""What auth writes into the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from cryptography.fernet import Fernet
from voicemesh.audit.v1 import audit_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc

from services.auth.accounts import NOBODY
from services.auth.app import open_app
from services.auth.settings import Settings
from tests.audited import AT_HOME, audited, kinds
from tests.peers import Served, served, signed_in

PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
async def service(database: str, certificates: dict[str, Path]) -> AsyncIterator[Served]:
    settings = Settings(
        listen="127.0.0.1:0",
        tls=certificates["auth"],
        database_url=database,
        key_encryption_key=Fernet.generate_key().decode(),
        bcrypt_cost=4,
        drain_seconds=0,
    )
    async with served("auth", open_app, settings, certificates) as running:
        yield running


@pytest.fixture(scope="module")
async def auth(service: Served) -> AsyncIterator[auth_pb2_grpc.AuthServiceAsyncStub]:
    async with service.channel() as channel:
        yield auth_pb2_grpc.AuthServiceStub(channel)


@pytest.fixture(scope="module")
async def as_user(service: Served) -> AsyncIterator[auth_pb2_grpc.AuthServiceAsyncStub]:
    """As the user service calls it."""
    async with service.channel("user") as channel:
        yield auth_pb2_grpc.AuthServiceStub(channel)


async def register(auth, email: str) -> auth_pb2.Session:
    return await auth.Register(auth_pb2.RegisterRequest(email=email, password=PASSWORD), metadata=AT_HOME)


async def refused(call) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await call


def id_of(session: auth_pb2.Session) -> str:
    return session.user.removeprefix("users/")


async def test_a_life_of_an_account_is_written_down(auth, as_user) -> None:
    first = await register(auth, "life@example.org")
    wrong = auth_pb2.LoginRequest(email="life@example.org", password="something else")
    await refused(auth.Login(wrong, metadata=AT_HOME))
    request = auth_pb2.LoginRequest(email="life@example.org", password=PASSWORD)
    await auth.Login(request, metadata=AT_HOME)
    events = await audited(as_user, signed_in(id_of(first)))
    session = events[-1].resource.removeprefix("sessions/")
    await auth.Logout(auth_pb2.LogoutRequest(), metadata=(*signed_in(id_of(first), session=session), *AT_HOME))

    events = await audited(as_user, signed_in(id_of(first)))

    assert kinds(events) == ["ACCOUNT_REGISTERED", "SIGNED_IN", "SIGN_IN_FAILED", "SIGNED_IN", "SESSION_ENDED"]
    assert {(each.address, each.request_id, each.peer) for each in events} == {("203.0.113.7", "request-7", "envoy")}
    assert events[3].resource == events[4].resource == f"sessions/{session}"
    assert events[4].session == session
    assert dict(events[4].details) == {"reason": "SIGNED_OUT"}


async def test_signing_out_twice_is_one_event(auth, as_user) -> None:
    user = id_of(await register(auth, "twice@example.org"))
    session = (await audited(as_user, signed_in(user)))[-1].resource.removeprefix("sessions/")
    for _ in range(2):
        await auth.Logout(auth_pb2.LogoutRequest(), metadata=signed_in(user, session=session))

    assert kinds(await audited(as_user, signed_in(user))).count("SESSION_ENDED") == 1


async def test_a_refresh_token_used_twice_is_written_down(auth, as_user) -> None:
    first = await register(auth, "stolen@example.org")
    request = auth_pb2.RefreshRequest(refresh_token=first.refresh_token)
    await auth.Refresh(request)
    await refused(auth.Refresh(request))

    event = (await audited(as_user, signed_in(id_of(first))))[-1]

    assert kinds([event]) == ["SESSION_ENDED"]
    assert dict(event.details) == {"reason": "REFRESH_TOKEN_REUSED"}


async def test_a_failure_for_no_account_is_nobodys_and_names_no_address_of_mail(auth, as_user) -> None:
    request = auth_pb2.LoginRequest(email="nobody@example.org", password=PASSWORD)
    await refused(auth.Login(request, metadata=AT_HOME))

    event = (await audited(as_user, signed_in(NOBODY)))[-1]

    assert kinds([event]) == ["SIGN_IN_FAILED"]
    assert event.address == "203.0.113.7"
    assert "nobody@" not in str(event)


async def test_the_log_holds_no_secret(auth, as_user) -> None:
    session = await register(auth, "secret@example.org")

    said = str(await audited(as_user, signed_in(id_of(session))))

    assert PASSWORD not in said
    assert session.refresh_token not in said
    assert session.access_token not in said
    assert "secret@example.org" not in said


async def test_the_log_is_for_the_user_service_alone(auth) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.ReadAuditLog(audit_pb2.ReadAuditLogRequest(limit=1), metadata=signed_in(NOBODY))

    assert raised.value.code() == grpc.StatusCode.PERMISSION_DENIED
