"""Speeches: their rows, and the usage that finishing one makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.mesh import names
from services.mesh.audit import store as audit
from services.mesh.audit.events import Kind
from services.mesh.postgres import Connection, Database
from services.voice.engine.port import Markup, Tier, Word
from services.voice.jobs import Failure
from services.voice.queue import SPEECHES, Queue
from services.voice.speeches import NewSpeech, Speech, Spoken
from services.voice.store.receipts import keep_within
from services.voice.store.rows import JobRows, job_columns

_COLUMNS = """
SELECT t.id::text AS id, t.owner::text AS owner, t.voice::text AS voice, {text} AS text,
       t.markup, t.language, t.format, t.sample_rate, t.speed, t.tier,
       t.state, t.stage, t.progress_percent, t.failure_reason, t.failure_message,
       t.audio, t.audio_seconds, t.characters, t.engine, t.model_hash, t.level,
       coalesce(p.token, '') AS receipt,
       t.created_at, t.updated_at, t.ready_at, t.attempt, t.run
  FROM speeches t
  LEFT JOIN receipts p ON p.id = t.receipt
"""
_SELECT = _COLUMNS.format(text="t.text")
# A page of whole texts would be larger than a gRPC message may be.
_SELECT_LISTED = _COLUMNS.format(text="left(t.text, 200)")


def _speech(row: Mapping[str, Any]) -> Speech:
    columns = job_columns(row)
    return Speech(**{**columns, "markup": Markup(columns["markup"]), "tier": Tier(columns["tier"])})


class SpeechRows(JobRows[Speech]):
    """Speeches in PostgreSQL."""

    def __init__(self, database: Database, queue: Queue) -> None:
        super().__init__(database, queue, SPEECHES, _SELECT, _speech, select_listed=_SELECT_LISTED)

    async def insert(self, new: NewSpeech) -> Speech:
        """The speech of this request, added with its job if new.

        Raises:
            InvalidArgument: the request id was used with other content (REQUEST_ID_REUSED).
        """
        id = names.new_id()
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "INSERT INTO speeches"
                " (id, owner, voice, text, markup, language, format, sample_rate, speed, tier, request_id,"
                " request_digest) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (owner, request_id) DO NOTHING",
                [
                    id,
                    new.owner,
                    new.voice,
                    new.text,
                    new.markup.value,
                    new.language.tag,
                    new.form.format,
                    new.form.sample_rate,
                    new.form.speed,
                    new.form.tier.value,
                    new.request.id or None,
                    new.request.digest,
                ],
            )
            if cursor.rowcount == 0:
                before = await self.of_request_within(connection, new.owner, new.request)
                if before is not None:
                    return before
            await self.defer(connection, id, attempt=1)
            voice, length = names.join("voices", new.voice), str(len(new.text))
            name = names.join("speeches", id)
            await audit.record(connection, Kind.SPEECH_CREATED, new.owner, name, voice=voice, characters=length)
            speech = await self.read(connection, "t.owner = %s AND t.id = %s", [new.owner, id])
        assert speech is not None
        return speech

    async def words(self, owner: str, id: str) -> Sequence[Word] | None:
        """The words of a speech of this owner, in seconds from the start of its audio; None if they were not kept."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT w.text_starts, w.text_ends, w.starts, w.ends"
                " FROM speech_words w JOIN speeches t ON t.id = w.speech WHERE t.owner = %s AND t.id = %s",
                [owner, id],
            )
            row = await cursor.fetchone()
            if row is None:
                return None
            return [Word(a, b, start / 1000, end / 1000) for a, b, start, end in zip(*row, strict=True)]

    async def delete(self, owner: str, id: str) -> bool:
        """Removes a speech, stops its job, and sees to it that its audio is removed; whether it was there."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT audio FROM speeches WHERE owner = %s AND id = %s FOR UPDATE", [owner, id]
            )
            row = await cursor.fetchone()
            if row is not None and row[0] is not None:
                await self._queue.remove_file(connection, owner, row[0])
            deleted = await self.delete_within(connection, owner, id)
            if deleted:
                await audit.record(connection, Kind.SPEECH_DELETED, owner, names.join("speeches", id))
            return deleted

    async def stop_within(self, connection: Connection, owner: str, voice: str, failure: Failure) -> None:
        """Ends the speeches of a voice that are not finished, within a transaction."""
        cursor = await connection.execute(
            "UPDATE speeches SET state = 'FAILED', failure_reason = %s, failure_message = %s, updated_at = now()"
            " WHERE owner = %s AND voice = %s AND state IN ('PENDING', 'PROCESSING') RETURNING job",
            [failure.reason, failure.message, owner, voice],
        )
        for (job,) in await cursor.fetchall():
            if job is not None:
                await self._queue.cancel(connection, job)

    async def wants(self, id: str, attempt: int) -> bool:
        """Whether the attempt may still bring, or has brought, the audio of its speech."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT FROM speeches WHERE id = %s AND attempt = %s AND state IN ('PENDING', 'PROCESSING', 'READY')",
                [id, attempt],
            )
            return cursor.rowcount > 0

    async def spoken(self, id: str, run: int, result: Spoken) -> bool:
        """Ends a run with its audio and writes its usage; False if nobody wants it of this run any more."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "UPDATE speeches SET state = 'READY', stage = '', progress_percent = 100, audio = %s,"
                " audio_seconds = %s, characters = %s, engine = %s, model_hash = %s, level = %s, receipt = %s,"
                " ready_at = now(), updated_at = now()"
                " WHERE id = %s AND run = %s AND state = 'PROCESSING' RETURNING owner",
                [
                    result.audio,
                    result.audio_seconds,
                    result.characters,
                    result.engine,
                    result.model_hash,
                    result.level,
                    result.receipt.id,
                    id,
                    run,
                ],
            )
            row = await cursor.fetchone()
            if row is None:
                return False
            await keep_within(connection, row[0], result.receipt, result.token)
            await connection.execute(
                "INSERT INTO usage_ledger (work, owner, characters, audio_seconds) VALUES (%s, %s, %s, %s)",
                [id, row[0], result.characters, result.audio_seconds],
            )
            await connection.execute(
                "INSERT INTO speech_words (speech, text_starts, text_ends, starts, ends) VALUES (%s, %s, %s, %s, %s)"
                " ON CONFLICT (speech) DO UPDATE SET text_starts = excluded.text_starts,"
                " text_ends = excluded.text_ends, starts = excluded.starts, ends = excluded.ends",
                [
                    id,
                    [word.start for word in result.words],
                    [word.end for word in result.words],
                    [round(word.start_seconds * 1000) for word in result.words],
                    [round(word.end_seconds * 1000) for word in result.words],
                ],
            )
            return True
