"""The auth service over real mTLS gRPC and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography.fernet import Fernet
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc

from services.auth.app import open_app
from services.auth.settings import Settings
from services.mesh.status import reason
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


async def register(auth, email: str) -> auth_pb2.Session:
    return await auth.Register(auth_pb2.RegisterRequest(email=email, password=PASSWORD))


async def test_register_then_login_gives_the_same_user(auth) -> None:
    registered = await register(auth, "Ada@example.org")

    session = await auth.Login(auth_pb2.LoginRequest(email="ada@EXAMPLE.org", password=PASSWORD))

    assert session.user == registered.user
    assert session.refresh_token != registered.refresh_token


async def test_access_token_verifies_with_the_published_key(auth) -> None:
    session = await register(auth, "jwks@example.org")

    keys = await auth.GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())
    published = {key.kid: key for key in keys.keys}
    kid = jwt.get_unverified_header(session.access_token)["kid"]
    key = jwt.PyJWK({"kty": "OKP", "crv": "Ed25519", "x": published[kid].x})
    claims = jwt.decode(session.access_token, key, algorithms=["EdDSA"], audience="voicemesh", issuer="voicemesh")

    assert f"users/{claims['sub']}" == session.user
    assert claims["exp"] - claims["iat"] == 900
    assert len(base64.urlsafe_b64decode(published[kid].x + "=")) == 32


async def test_registering_an_address_twice_says_so(auth) -> None:
    await register(auth, "twice@example.org")

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await register(auth, "TWICE@example.org")

    assert raised.value.code() == grpc.StatusCode.ALREADY_EXISTS
    assert reason(raised.value) == "EMAIL_TAKEN"


async def test_registering_an_address_at_once_makes_one_account(auth) -> None:
    results = await asyncio.gather(*(register(auth, "race@example.org") for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(result, auth_pb2.Session) for result in results) == 1


@pytest.mark.parametrize(("email", "password"), [("ada@example.org", "wrong password"), ("no@example.org", PASSWORD)])
async def test_a_wrong_password_and_an_unknown_account_look_the_same(auth, email: str, password: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.Login(auth_pb2.LoginRequest(email=email, password=password))

    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert reason(raised.value) == "BAD_CREDENTIALS"
    assert raised.value.details() == "no account has this address and this password"


@pytest.mark.parametrize(
    ("email", "password", "field"),
    [
        ("not an address", PASSWORD, "email"),
        ("", PASSWORD, "email"),
        ("x@example.org", "short", "password"),
        ("x@example.org", "a" * 73, "password"),
        ("x@example.org", "ü" * 37, "password"),  # 74 bytes in 37 characters
        ("x@example.org", "nul\x00nul\x00nul", "password"),
    ],
)
async def test_registration_says_which_field_is_wrong(auth, email: str, password: str, field: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.Register(auth_pb2.RegisterRequest(email=email, password=password))

    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert reason(raised.value) == "INVALID_FIELDS"
    assert raised.value.details().startswith(f"{field}: ")


async def test_a_password_of_72_bytes_counts_to_its_last_byte(auth) -> None:
    await auth.Register(auth_pb2.RegisterRequest(email="long@example.org", password="a" * 72))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.Login(auth_pb2.LoginRequest(email="long@example.org", password="a" * 71 + "b"))

    assert reason(raised.value) == "BAD_CREDENTIALS"


async def test_more_passwords_than_can_be_checked_are_refused_with_a_time_to_retry(
    new_database: Callable[[], str], certificates: dict[str, Path]
) -> None:
    settings = Settings(
        listen="127.0.0.1:0",
        tls=certificates["auth"],
        database_url=new_database(),
        key_encryption_key=Fernet.generate_key().decode(),
        bcrypt_cost=10,
        bcrypt_threads=1,
        bcrypt_waiting=2,
        drain_seconds=0,
    )
    async with served("auth", open_app, settings, certificates) as running, running.channel() as channel:
        stub = auth_pb2_grpc.AuthServiceStub(channel)
        request = auth_pb2.LoginRequest(email="a@example.org", password="a password")
        results = await asyncio.gather(*(stub.Login(request) for _ in range(20)), return_exceptions=True)

    reasons = {reason(result) for result in results}
    refused = next(result for result in results if reason(result) == "SIGN_IN_BUSY")
    assert reasons == {"SIGN_IN_BUSY", "BAD_CREDENTIALS"}
    assert refused.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "retry-after" in dict(refused.trailing_metadata())


async def test_refresh_rotates_and_a_reused_token_ends_the_session(auth) -> None:
    first = await register(auth, "rotate@example.org")
    second = await auth.Refresh(auth_pb2.RefreshRequest(refresh_token=first.refresh_token))

    with pytest.raises(grpc.aio.AioRpcError) as reused:
        await auth.Refresh(auth_pb2.RefreshRequest(refresh_token=first.refresh_token))
    with pytest.raises(grpc.aio.AioRpcError) as after:
        await auth.Refresh(auth_pb2.RefreshRequest(refresh_token=second.refresh_token))

    assert reason(reused.value) == "REFRESH_TOKEN_REUSED"
    assert reason(after.value) == "BAD_REFRESH_TOKEN"


async def test_of_refreshes_at_once_one_at_most_succeeds(auth) -> None:
    session = await register(auth, "refresh-race@example.org")
    request = auth_pb2.RefreshRequest(refresh_token=session.refresh_token)

    results = await asyncio.gather(*(auth.Refresh(request) for _ in range(8)), return_exceptions=True)

    assert sum(isinstance(result, auth_pb2.Session) for result in results) == 1


async def test_logout_ends_the_session_and_no_other(auth) -> None:
    ended = await register(auth, "logout@example.org")
    other = await auth.Login(auth_pb2.LoginRequest(email="logout@example.org", password=PASSWORD))
    claims = jwt.decode(ended.access_token, options={"verify_signature": False})

    await auth.Logout(auth_pb2.LogoutRequest(), metadata=signed_in(claims["sub"], session=claims["sid"]))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.Refresh(auth_pb2.RefreshRequest(refresh_token=ended.refresh_token))
    assert reason(raised.value) == "BAD_REFRESH_TOKEN"
    assert await auth.Refresh(auth_pb2.RefreshRequest(refresh_token=other.refresh_token))


async def test_logout_needs_somebody_signed_in(auth) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.Logout(auth_pb2.LogoutRequest())

    assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert reason(raised.value) == "CREDENTIALS_MISSING"


async def test_an_account_is_for_the_user_service_alone(auth, service: Served) -> None:
    session = await register(auth, "account@example.org")
    who = signed_in(session.user.removeprefix("users/"))

    async with service.channel("user") as channel:
        account = await auth_pb2_grpc.AuthServiceStub(channel).GetAccount(auth_pb2.GetAccountRequest(), metadata=who)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth.GetAccount(auth_pb2.GetAccountRequest(), metadata=who)

    assert account.email == "account@example.org"
    assert raised.value.code() == grpc.StatusCode.PERMISSION_DENIED
    assert reason(raised.value) == "PEER_NOT_ALLOWED"


async def test_a_client_without_a_certificate_of_the_mesh_gets_nothing(service: Served) -> None:
    credentials = grpc.ssl_channel_credentials((service.certificates["envoy"] / "ca.crt").read_bytes())
    options = (("grpc.ssl_target_name_override", "auth.voicemesh.internal"),)
    async with grpc.aio.secure_channel(service.address, credentials, options=options) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await auth_pb2_grpc.AuthServiceStub(channel).GetJsonWebKeySet(auth_pb2.GetJsonWebKeySetRequest())

    assert raised.value.code() == grpc.StatusCode.UNAVAILABLE
