"""What the storage service is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files

from voicemesh.storage.v1 import storage_pb2_grpc

from services.mesh import loops
from services.mesh.audit.log import AuditLog
from services.mesh.pages import PageTokens
from services.mesh.postgres import open_database
from services.mesh.server import Application, Servicer
from services.storage.blobs import open_blobs
from services.storage.servicer import StorageServicer
from services.storage.settings import Settings
from services.storage.store import Store
from services.storage.sweeps import sweep
from services.storage.uploads import Uploads


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[Application]:
    """Opens what the service needs in order, and closes it in reverse."""
    migrations = files("services.storage") / "migrations"
    async with (
        open_database(settings.database_url.get_secret_value(), migrations) as database,
        open_blobs(settings.root) as blobs,
    ):
        store = Store(database)
        with ThreadPoolExecutor(settings.probe_threads, "probe") as threads:
            uploads = Uploads(store, blobs, largest=settings.largest_file_bytes, spool=settings.spool, threads=threads)
            tokens = PageTokens(settings.page_token_key.get_secret_value())
            audit = AuditLog("storage", database)
            servicer = StorageServicer(store, blobs, uploads, tokens, audit, idle_seconds=settings.idle_seconds)
            async with loops.repeating("sweep", partial(sweep, store, blobs), settings.sweep_seconds):
                yield Application(
                    servicers=[
                        Servicer(
                            "voicemesh.storage.v1.StorageService",
                            lambda server: storage_pb2_grpc.add_StorageServiceServicer_to_server(servicer, server),
                        )
                    ],
                    pings={"database": database.ping, "objects": blobs.ping},
                )
