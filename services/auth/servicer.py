"""Protobuf in, one domain call, protobuf out."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf import empty_pb2
from voicemesh.audit.v1 import audit_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc

from services.auth import accounts
from services.auth.keys import SigningKey
from services.auth.passwords import Passwords
from services.auth.sessions import Sessions, Tokens
from services.auth.store import Store
from services.mesh import names
from services.mesh.audit.log import AuditLog
from services.mesh.identity import caller
from services.mesh.interceptors import Context
from services.mesh.times import timestamp


class AuthServicer(auth_pb2_grpc.AuthServiceServicer):
    """voicemesh.auth.v1.AuthService"""

    def __init__(
        self, store: Store, passwords: Passwords, sessions: Sessions, keys: Sequence[SigningKey], audit: AuditLog
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._sessions = sessions
        self._keys = keys
        self._audit = audit

    async def Register(self, request: auth_pb2.RegisterRequest, context: Context) -> auth_pb2.Session:
        account = await accounts.register(request.email, request.password, store=self._store, passwords=self._passwords)
        return to_proto(await self._sessions.begin(account.id))

    async def Login(self, request: auth_pb2.LoginRequest, context: Context) -> auth_pb2.Session:
        account = await accounts.authenticate(
            request.email, request.password, store=self._store, passwords=self._passwords
        )
        return to_proto(await self._sessions.begin(account.id))

    async def Refresh(self, request: auth_pb2.RefreshRequest, context: Context) -> auth_pb2.Session:
        return to_proto(await self._sessions.renew(request.refresh_token))

    async def Logout(self, request: auth_pb2.LogoutRequest, context: Context) -> empty_pb2.Empty:
        await self._sessions.end(caller().session, caller().user)
        return empty_pb2.Empty()

    async def GetJsonWebKeySet(
        self, request: auth_pb2.GetJsonWebKeySetRequest, context: Context
    ) -> auth_pb2.JsonWebKeySet:
        return auth_pb2.JsonWebKeySet(
            keys=[
                auth_pb2.JsonWebKey(kty="OKP", crv="Ed25519", x=key.x, kid=key.id, use="sig", alg="EdDSA")
                for key in self._keys
            ]
        )

    async def GetAccount(self, request: auth_pb2.GetAccountRequest, context: Context) -> auth_pb2.Account:
        account = await accounts.get(caller().user, store=self._store)
        return auth_pb2.Account(
            user=names.join("users", account.id), email=account.email, create_time=timestamp(account.created_at)
        )

    async def ReadAuditLog(
        self, request: audit_pb2.ReadAuditLogRequest, context: Context
    ) -> audit_pb2.ReadAuditLogResponse:
        return await self._audit.read(caller().user, request)


def to_proto(tokens: Tokens) -> auth_pb2.Session:
    """The session as its person gets it."""
    return auth_pb2.Session(
        user=names.join("users", tokens.user),
        access_token=tokens.access,
        token_type="Bearer",
        expire_time=timestamp(tokens.access_expires),
        refresh_token=tokens.refresh,
        refresh_expire_time=timestamp(tokens.refresh_expires),
    )
