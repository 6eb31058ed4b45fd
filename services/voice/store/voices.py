"""Voices: their rows, their consents, and what was learned."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from services.mesh import names
from services.mesh.audit import store as audit
from services.mesh.audit.events import Kind
from services.mesh.postgres import Connection, Database
from services.voice.consents import Consent
from services.voice.engine.port import Depth
from services.voice.jobs import State
from services.voice.queue import VOICES, Queue
from services.voice.refinements import Wish
from services.voice.speeches import GONE, Artefact
from services.voice.store import consents
from services.voice.store.refinements import COLUMNS, RefinementRows, refinement
from services.voice.store.rows import JobRows, job_columns
from services.voice.store.speeches import SpeechRows
from services.voice.voices import NewVoice, Voice

_OF_REFINEMENT = "of_refinement_"
_OF_CONSENT = "of_consent_"
_SELECT = f"""
SELECT t.id::text AS id, t.owner::text AS owner, t.display_name, t.description, t.recordings,
       {", ".join(f"{what} AS {_OF_CONSENT}{name}" for name, what in consents.COLUMNS.items())},
       t.state, t.stage, t.progress_percent, t.failure_reason, t.failure_message,
       a.level, coalesce(a.engine, '') AS engine, coalesce(a.model_hash, '') AS model_hash,
       t.report, t.created_at, t.updated_at, t.ready_at, t.version, t.attempt, t.run,
       cardinality(t.transcripts) > 0 AND '' <> ALL (t.transcripts) AS worded, t.refinement_depth,
       {", ".join(f"r.{column} AS {_OF_REFINEMENT}{column}" for column in COLUMNS)}
  FROM voices t
  JOIN consents c ON c.voice = t.id
  LEFT JOIN consent_revocations v ON v.voice = t.id
  LEFT JOIN LATERAL (
       SELECT level, engine, model_hash FROM artefacts WHERE voice = t.id ORDER BY version DESC LIMIT 1) a ON true
  LEFT JOIN refinements r ON r.id = t.id
"""


def _voice(row: Mapping[str, Any]) -> Voice:
    own = {name: value for name, value in row.items() if not name.startswith((_OF_REFINEMENT, _OF_CONSENT))}
    of_refinement = {name: row[f"{_OF_REFINEMENT}{name}"] for name in COLUMNS}
    wish = own["refinement_depth"]
    columns = {
        **job_columns(own),
        "refinement_depth": None if wish is None else Wish(wish),
        "consent": Consent(**{name: row[f"{_OF_CONSENT}{name}"] for name in consents.COLUMNS}),
        "refinement": None if of_refinement["id"] is None else refinement(of_refinement),
    }
    return Voice(**columns)


class VoiceRows(JobRows[Voice]):
    """Voices in PostgreSQL."""

    def __init__(self, database: Database, queue: Queue, refinements: RefinementRows, speeches: SpeechRows) -> None:
        super().__init__(database, queue, VOICES, _SELECT, _voice)
        self._refinements = refinements
        self._speeches = speeches

    async def insert(self, new: NewVoice) -> Voice:
        """The voice of this request, added with its consent, its job and its ledger row if new.

        Raises:
            InvalidArgument: the request id was used with other content (REQUEST_ID_REUSED).
            FailedPrecondition: the challenge of its consent is not good (CONSENT_CHALLENGE_INVALID).
        """
        id = names.new_id()
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "INSERT INTO voices (id, owner, display_name, description, recordings, transcripts, refinement_depth,"
                " request_id, request_digest)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (owner, request_id) DO NOTHING",
                [
                    id,
                    new.owner,
                    new.display_name,
                    new.description,
                    list(new.recordings),
                    list(new.transcripts),
                    new.refinement_depth,
                    new.request.id or None,
                    new.request.digest,
                ],
            )
            if cursor.rowcount == 0:
                before = await self.of_request_within(connection, new.owner, new.request)
                if before is not None:
                    return before
            await consents.insert_within(connection, new.owner, id, new.consent, new.recordings, new.digests, new.check)
            await connection.execute(
                "INSERT INTO usage_ledger (work, owner, voices_created) VALUES (%s, %s, 1)", [id, new.owner]
            )
            await self.defer(connection, id, attempt=1)
            name = names.join("voices", id)
            consent = {
                "statement_sha256": hashlib.sha256(new.consent.statement.encode()).hexdigest(),
                "recordings_sha256": " ".join(new.digests),
            }
            await audit.record(connection, Kind.CONSENT_GIVEN, new.owner, f"{name}/consent", **consent)
            recordings = " ".join(new.recordings)
            await audit.record(connection, Kind.VOICE_CREATED, new.owner, name, recordings=recordings)
            voice = await self.read(connection, "t.owner = %s AND t.id = %s", [new.owner, id])
        assert voice is not None
        return voice

    async def update(self, owner: str, id: str, changes: Mapping[str, str], version: int | None) -> Voice | None:
        """The voice after the change; None if it is not there, or not at `version` where one is given."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "UPDATE voices SET display_name = coalesce(%s, display_name), description = coalesce(%s, description),"
                " version = version + 1, updated_at = now()"
                " WHERE owner = %s AND id = %s AND (%s::int IS NULL OR version = %s)",
                [changes.get("display_name"), changes.get("description"), owner, id, version, version],
            )
            if cursor.rowcount == 0:
                return None
            return await self.read(connection, "t.owner = %s AND t.id = %s", [owner, id])

    async def artefact(self, owner: str, id: str) -> Artefact | None:
        """The newest artefact of a voice of this owner that is READY."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT a.content, a.engine, a.model_hash, a.level FROM artefacts a JOIN voices v ON v.id = a.voice"
                " WHERE v.owner = %s AND v.id = %s AND v.state = 'READY' AND NOT EXISTS"
                " (SELECT FROM consent_revocations c WHERE c.voice = v.id) ORDER BY a.version DESC LIMIT 1",
                [owner, id],
            )
            row = await cursor.fetchone()
            return None if row is None else Artefact(id, *row)

    async def delete_within(self, connection: Connection, owner: str, id: str) -> bool:
        """As `delete`, within a transaction."""
        await connection.execute("SELECT FROM voices WHERE owner = %s AND id = %s FOR UPDATE", [owner, id])
        await self._refinements.delete_within(connection, owner, id)
        deleted = await super().delete_within(connection, owner, id)
        if deleted:
            await self._speeches.stop_within(connection, owner, id, GONE)
            await audit.record(connection, Kind.VOICE_DELETED, owner, names.join("voices", id))
        return deleted

    async def retry_within(self, connection: Connection, owner: str, id: str, states: Sequence[State]) -> Voice | None:
        """As `retry`, within a transaction; a voice whose consent was revoked stays as it is."""
        await connection.execute("SELECT FROM voices WHERE owner = %s AND id = %s FOR UPDATE", [owner, id])
        voice = await self.read(connection, "t.owner = %s AND t.id = %s", [owner, id])
        if voice is None or voice.consent.revoked_at is not None:
            return voice
        voice = await super().retry_within(connection, owner, id, states)
        if voice is None or voice.state is not State.PENDING:
            return voice
        await self._refinements.stop_within(connection, id)
        return await self.read(connection, "t.owner = %s AND t.id = %s", [owner, id])

    async def learned(
        self,
        id: str,
        run: int,
        artefact: Artefact,
        level: str,
        report: Mapping[str, Any],
        depth: Depth | None = None,
    ) -> bool:
        """Ends a job with what it learned, and begins the refinement if it is to have one; False if nobody wants it
        any more."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "UPDATE voices SET state = 'READY', stage = '', progress_percent = 100, report = %s,"
                " ready_at = now(), updated_at = now()"
                " WHERE id = %s AND run = %s AND state = 'PROCESSING' RETURNING owner::text",
                [Jsonb(dict(report)), id, run],
            )
            row = await cursor.fetchone()
            if row is None:
                return False
            await connection.execute(
                "INSERT INTO artefacts (voice, version, level, engine, model_hash, content)"
                " SELECT %s, coalesce(max(version), 0) + 1, %s, %s, %s, %s FROM artefacts WHERE voice = %s",
                [id, level, artefact.engine, artefact.model_hash, artefact.content, id],
            )
            if depth is not None:
                await self._refinements.begin_within(connection, row[0], id, depth)
            return True
