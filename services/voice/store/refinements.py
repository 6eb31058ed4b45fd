"""Refinements: their rows, and the artefacts that they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from services.mesh.postgres import Connection, Database
from services.voice.engine.port import Depth, Level
from services.voice.queue import REFINEMENTS, Queue
from services.voice.refinements import Material, Refined, Refinement
from services.voice.store.rows import JobRows, job_columns

COLUMNS = (
    "id",
    "owner",
    "depth",
    "state",
    "stage",
    "progress_percent",
    "failure_reason",
    "failure_message",
    "kept",
    "score_before",
    "score_after",
    "ready_at",
    "attempt",
    "run",
)
_SELECT = f"""
SELECT t.id::text AS id, t.owner::text AS owner, {", ".join(f"t.{column}" for column in COLUMNS[2:])}
  FROM refinements t
"""


def refinement(row: Mapping[str, Any]) -> Refinement:
    """The refinement of its COLUMNS."""
    columns = job_columns(row)
    return Refinement(**{**columns, "depth": Depth(columns["depth"])})


class RefinementRows(JobRows[Refinement]):
    """Refinements in PostgreSQL. Whoever changes voice and refinement locks the voice first."""

    def __init__(self, database: Database, queue: Queue) -> None:
        super().__init__(database, queue, REFINEMENTS, _SELECT, refinement)

    async def ask(self, owner: str, id: str, depth: Depth, transcripts: Sequence[str]) -> bool:
        """Has a READY voice refined that is not being refined; whether it was one. No transcripts: as they are."""
        async with self._database.connection() as connection:
            # Locked before it is looked at: a statement that had to wait would still see what was before.
            await connection.execute("SELECT FROM voices WHERE owner = %s AND id = %s FOR NO KEY UPDATE", [owner, id])
            cursor = await connection.execute(
                "UPDATE voices SET refinement_depth = %s,"
                " transcripts = CASE WHEN cardinality(%s::text[]) > 0 THEN %s::text[] ELSE transcripts END"
                " WHERE owner = %s AND id = %s AND state = 'READY' AND NOT EXISTS"
                " (SELECT FROM refinements r WHERE r.id = voices.id AND r.state IN ('PENDING', 'PROCESSING'))",
                [depth, list(transcripts), list(transcripts), owner, id],
            )
            if cursor.rowcount == 0:
                return False
            await self.begin_within(connection, owner, id, depth)
            return True

    async def begin_within(self, connection: Connection, owner: str, id: str, depth: Depth) -> None:
        """Gives a voice, whose row is locked, a new refinement and its job."""
        cursor = await connection.execute(
            "INSERT INTO refinements AS t (id, owner, depth) VALUES (%s, %s, %s) ON CONFLICT (id) DO UPDATE"
            " SET depth = EXCLUDED.depth, state = 'PENDING', stage = '', progress_percent = 0, kept = false,"
            " failure_reason = NULL, failure_message = NULL, score_before = NULL, score_after = NULL,"
            " ready_at = NULL, updated_at = now(), attempt = t.attempt + 1 RETURNING attempt",
            [id, owner, depth],
        )
        row = await cursor.fetchone()
        assert row is not None
        await self.defer(connection, id, row[0])

    async def stop(self, owner: str, id: str) -> None:
        """Makes the refinement of a voice CANCELLED and stops its job, if it has not ended."""
        await self.cancel(owner, id)

    async def stop_within(self, connection: Connection, id: str) -> None:
        """As `stop`, of a voice whose row is locked."""
        cursor = await connection.execute(
            "UPDATE refinements SET state = 'CANCELLED', updated_at = now()"
            " WHERE id = %s AND state IN ('PENDING', 'PROCESSING') RETURNING job",
            [id],
        )
        row = await cursor.fetchone()
        if row is not None and row[0] is not None:
            await self._queue.cancel(connection, row[0])

    async def material(self, id: str) -> Material | None:
        """What a voice is refined from; None if it is not there any more."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                "SELECT a.content, v.recordings, v.transcripts FROM voices v JOIN artefacts a ON a.voice = v.id"
                " WHERE v.id = %s AND a.level = %s ORDER BY a.version DESC LIMIT 1",
                [id, Level.INSTANT],
            )
            row = await cursor.fetchone()
            return None if row is None else Material(*row)

    async def refined(self, id: str, run: int, result: Refined) -> bool:
        """Ends a run with what came of it, and lets the voice speak with it where that is better than all before;
        False if nobody wants it of this run any more."""
        async with self._database.connection() as connection:
            await connection.execute("SELECT FROM voices WHERE id = %s FOR NO KEY UPDATE", [id])
            cursor = await connection.execute(
                "UPDATE refinements t SET state = 'READY', stage = '', progress_percent = 100, score_before = %s,"
                " score_after = %s, ready_at = now(), updated_at = now(), kept = %s AND NOT EXISTS"
                " (SELECT FROM artefacts a WHERE a.voice = t.id AND a.model_hash = %s AND a.score >= %s)"
                " WHERE id = %s AND run = %s AND state = 'PROCESSING' RETURNING kept",
                [
                    result.score_before,
                    result.score_after,
                    result.better,
                    result.model_hash,
                    result.score_after,
                    id,
                    run,
                ],
            )
            row = await cursor.fetchone()
            if row is None:
                return False
            if row[0]:
                await connection.execute(
                    "INSERT INTO artefacts (voice, version, level, engine, model_hash, content, score)"
                    " SELECT %s, max(version) + 1, %s, %s, %s, %s, %s FROM artefacts WHERE voice = %s",
                    [id, Level.STUDIO, result.engine, result.model_hash, result.artefact, result.score_after, id],
                )
                await connection.execute("UPDATE voices SET updated_at = now() WHERE id = %s", [id])
            return True
