"""What the auth service is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.resources import files

from voicemesh.auth.v1 import auth_pb2_grpc

from services.auth.keys import KeyRing
from services.auth.passwords import Passwords
from services.auth.servicer import AuthServicer
from services.auth.sessions import Sessions
from services.auth.settings import Settings
from services.auth.store import Store
from services.mesh.audit.log import AuditLog
from services.mesh.postgres import open_database
from services.mesh.server import Application, Servicer


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[Application]:
    """Opens what the service needs in order, and closes it in reverse."""
    migrations = files("services.auth") / "migrations"
    async with open_database(settings.database_url.get_secret_value(), migrations) as database:
        store = Store(database)
        ring = KeyRing(settings.key_encryption_key.get_secret_value())
        keys = await ring.load(store)
        with ThreadPoolExecutor(settings.bcrypt_threads, "bcrypt") as threads:
            sessions = Sessions(
                store,
                keys,
                access=timedelta(seconds=settings.access_seconds),
                refresh=timedelta(days=settings.refresh_days),
            )
            passwords = Passwords(settings.bcrypt_cost, threads, waiting=settings.bcrypt_waiting)
            servicer = AuthServicer(store, passwords, sessions, keys, AuditLog("auth", database))
            yield Application(
                servicers=[
                    Servicer(
                        "voicemesh.auth.v1.AuthService",
                        lambda server: auth_pb2_grpc.add_AuthServiceServicer_to_server(servicer, server),
                    )
                ],
                pings={"database": database.ping},
            )
