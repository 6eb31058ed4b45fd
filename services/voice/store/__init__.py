"""All SQL of the voice service."""

from __future__ import annotations

from services.mesh.postgres import Database
from services.voice.queue import Queue
from services.voice.store.consents import ConsentRows
from services.voice.store.receipts import ReceiptRows
from services.voice.store.refinements import RefinementRows
from services.voice.store.speeches import SpeechRows
from services.voice.store.usage import UsageRows
from services.voice.store.voices import VoiceRows


class Store:
    """Voices, their consents and refinements, speeches, their receipts and their usage in PostgreSQL."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self.refinements = RefinementRows(database, queue)
        self.speeches = SpeechRows(database, queue)
        self.voices = VoiceRows(database, queue, self.refinements, self.speeches)
        self.consents = ConsentRows(database, queue, self.refinements, self.speeches)
        self.receipts = ReceiptRows(database)
        self.usage = UsageRows(database)
