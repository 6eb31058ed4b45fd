"""What the user service is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

from voicemesh.user.v1 import user_pb2_grpc

from services.mesh.channels import open_channel
from services.mesh.pages import PageTokens
from services.mesh.postgres import open_database
from services.mesh.server import Application, Servicer
from services.user.records import Preferences, Profile
from services.user.servicer import UserServicer
from services.user.settings import Settings
from services.user.siblings import Siblings
from services.user.store import Table


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[Application]:
    """Opens what the service needs in order, and closes it in reverse."""
    migrations = files("services.user") / "migrations"
    async with (
        open_database(settings.database_url.get_secret_value(), migrations) as database,
        open_channel(settings.auth_address, "auth", "voicemesh.auth.v1.AuthService", settings.tls) as auth,
        open_channel(settings.voice_address, "voice", "voicemesh.voice.v1.VoiceService", settings.tls) as voice,
        open_channel(
            settings.storage_address, "storage", "voicemesh.storage.v1.StorageService", settings.tls
        ) as storage,
    ):
        servicer = UserServicer(
            Table(database, "profiles", Profile),
            Table(database, "preferences", Preferences),
            Siblings(auth, voice, storage),
            PageTokens(settings.page_token_key.get_secret_value()),
        )
        yield Application(
            servicers=[
                Servicer(
                    "voicemesh.user.v1.UserService",
                    lambda server: user_pb2_grpc.add_UserServiceServicer_to_server(servicer, server),
                )
            ],
            pings={"database": database.ping},
        )
