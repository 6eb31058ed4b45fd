"""What the voice service is made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files

from voicemesh.voice.v1 import consent_pb2_grpc, provenance_pb2_grpc, speech_pb2_grpc, voice_pb2_grpc

from services.mesh.audit.log import AuditLog
from services.mesh.channels import open_channel
from services.mesh.pages import PageTokens
from services.mesh.postgres import open_database
from services.mesh.server import Application, Servicer
from services.voice import engine_process, queue, storage_client
from services.voice.changes import listening
from services.voice.consent_servicer import ConsentServicer
from services.voice.host import open_engine
from services.voice.provenance_servicer import ProvenanceServicer
from services.voice.queue import Queue
from services.voice.settings import Settings
from services.voice.signing import Signatory
from services.voice.silencing import Silencing
from services.voice.speech_servicer import SpeechServicer
from services.voice.storage_client import StorageClient
from services.voice.store import Store
from services.voice.voice_servicer import VoiceServicer
from services.voice.vouching import Voucher
from services.voice.watch import Watching


@asynccontextmanager
async def open_app(settings: Settings) -> AsyncIterator[Application]:
    """Opens what the service needs in order, and closes it in reverse."""
    url = settings.database_url.get_secret_value()
    migrations = files("services.voice") / "migrations"
    async with (
        open_database(url, migrations, also=queue.install) as database,
        listening(url) as changes,
        open_channel(settings.storage_address, "storage", storage_client.CONTRACT, settings.tls) as channel,
        open_engine(
            settings.models,
            processes=settings.engine_processes,
            threads=settings.engine_threads,
            waiting=settings.engine_waiting,
            serve=partial(engine_process.main, engine=settings.engine),
        ) as engine,
    ):
        draining = asyncio.Event()
        store, storage = Store(database, Queue(url)), StorageClient(channel)
        watching = Watching(changes, draining, settings.keep_alive_seconds)
        tokens = PageTokens(settings.page_token_key.get_secret_value())
        voice = VoiceServicer(store, storage, watching, tokens, engine, AuditLog("voice", database), settings)
        signatory = Signatory(settings.signing)
        signatory.credential()  # A deployment that cannot sign is told so when it starts.
        voucher, silencing = Voucher(signatory, store.receipts), Silencing(changes, store.voices)
        speech = SpeechServicer(store, storage, watching, tokens, engine, silencing, voucher, settings)
        consent = ConsentServicer(store, tokens, settings)
        provenance = ProvenanceServicer(store, signatory, settings)
        yield Application(
            servicers=[
                Servicer(
                    "voicemesh.voice.v1.VoiceService",
                    lambda server: voice_pb2_grpc.add_VoiceServiceServicer_to_server(voice, server),
                ),
                Servicer(
                    "voicemesh.voice.v1.SpeechService",
                    lambda server: speech_pb2_grpc.add_SpeechServiceServicer_to_server(speech, server),
                ),
                Servicer(
                    "voicemesh.voice.v1.ConsentService",
                    lambda server: consent_pb2_grpc.add_ConsentServiceServicer_to_server(consent, server),
                ),
                Servicer(
                    "voicemesh.voice.v1.ProvenanceService",
                    lambda server: provenance_pb2_grpc.add_ProvenanceServiceServicer_to_server(provenance, server),
                ),
            ],
            pings={"database": database.ping, "engine": engine.ping, "signing": signatory.ping},
            draining=draining,
        )
