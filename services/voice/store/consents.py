"""Consents: their rows, and what their revocation ends."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.rows import class_row

from services.mesh import errors, names
from services.mesh.audit import store as audit
from services.mesh.audit.events import Kind
from services.mesh.pages import Page
from services.mesh.postgres import Connection, Database
from services.voice.consent_checks import OFF
from services.voice.consents import REVOKED, Challenge, Consent, Given
from services.voice.queue import Queue
from services.voice.store.refinements import RefinementRows
from services.voice.store.speeches import SpeechRows

COLUMNS = {
    "voice": "c.voice::text",
    "owner": "c.owner::text",
    "statement": "c.statement",
    "given_by": "c.given_by",
    "given_at": "c.given_at",
    "recordings": "c.recordings",
    "digests": "c.digests",
    "address": "c.address",
    "phrase": "c.phrase",
    "check_name": "c.check_name",
    "heard_at": "(SELECT h.heard_at FROM consent_hearings h WHERE h.voice = c.voice)",
    "revoked_at": "v.revoked_at",
}
"""What is read of a consent `c` and its revocation `v`, by the name it has in the domain."""
_SELECT = (
    f"SELECT {', '.join(f'{what} AS {name}' for name, what in COLUMNS.items())}"
    " FROM consents c LEFT JOIN consent_revocations v ON v.voice = c.voice"
)
_LARGEST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


class ConsentRows:
    """Consents in PostgreSQL."""

    def __init__(self, database: Database, queue: Queue, refinements: RefinementRows, speeches: SpeechRows) -> None:
        self._database = database
        self._queue = queue
        self._refinements = refinements
        self._speeches = speeches

    async def get(self, owner: str, voice: str) -> Consent | None:
        """The consent that this user gave for a voice."""
        async with self._database.connection() as connection:
            return await _read(connection, owner, voice)

    async def list(self, owner: str, page: Page) -> Sequence[Consent]:
        """One consent more than the page holds, newest first."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Consent))
            await cursor.execute(
                f"{_SELECT} WHERE c.owner = %s AND c.voice < %s ORDER BY c.voice DESC LIMIT %s",
                [owner, page.after or _LARGEST_ID, page.size + 1],
            )
            return await cursor.fetchall()

    async def challenge(self, owner: str, challenge: Challenge, check: str) -> None:
        """Keeps a challenge of this user, for the check of this name, and forgets those that nobody met in time."""
        async with self._database.connection() as connection:
            await connection.execute(
                "DELETE FROM consent_challenges WHERE owner = %s AND voice IS NULL AND expires_at < now()", [owner]
            )
            await connection.execute(
                "INSERT INTO consent_challenges (id, owner, phrase, check_name, expires_at)"
                " VALUES (%s, %s, %s, %s, %s)",
                [challenge.id, owner, challenge.phrase, check, challenge.expires_at],
            )

    async def heard(self, voice: str) -> None:
        """Notes that the phrase of a consent was heard in a recording."""
        async with self._database.connection() as connection:
            await connection.execute(
                "INSERT INTO consent_hearings (voice, owner) SELECT voice, owner FROM consents WHERE voice = %s"
                " ON CONFLICT DO NOTHING",
                [voice],
            )

    async def revoke(self, owner: str, voice: str, address: str) -> Consent | None:
        """The consent, revoked, with what was learned removed and all work with the voice ended; None if there is
        none."""
        async with self._database.connection() as connection:
            # The voice first, as whoever changes it or its refinement does.
            await connection.execute("SELECT FROM voices WHERE owner = %s AND id = %s FOR UPDATE", [owner, voice])
            revoked = await connection.execute(
                "INSERT INTO consent_revocations (voice, owner, address)"
                " SELECT voice, owner, %s FROM consents WHERE owner = %s AND voice = %s ON CONFLICT DO NOTHING",
                [address, owner, voice],
            )
            if revoked.rowcount:
                await self._end(connection, owner, voice)
                name = names.join("voices", voice)
                await audit.record(connection, Kind.CONSENT_REVOKED, owner, f"{name}/consent")
            return await _read(connection, owner, voice)

    async def _end(self, connection: Connection, owner: str, voice: str) -> None:
        """Ends all work with a voice, whose row is locked if it is there, and forgets what was learned."""
        await self._refinements.stop_within(connection, voice)
        cursor = await connection.execute(
            "UPDATE voices SET state = 'FAILED', stage = '', failure_reason = %s, failure_message = %s,"
            " updated_at = now() WHERE owner = %s AND id = %s RETURNING job",
            [REVOKED.reason, REVOKED.message, owner, voice],
        )
        for (job,) in await cursor.fetchall():
            if job is not None:
                await self._queue.cancel(connection, job)
        await connection.execute(
            "DELETE FROM artefacts a USING voices w WHERE w.id = a.voice AND w.owner = %s AND w.id = %s", [owner, voice]
        )
        await self._speeches.stop_within(connection, owner, voice, REVOKED)


async def insert_within(
    connection: Connection,
    owner: str,
    voice: str,
    given: Given,
    recordings: Sequence[str],
    digests: Sequence[str],
    check: str,
) -> None:
    """Keeps the consent to a voice, in the transaction that makes the voice; uses its challenge up where `check`
    demands one.

    Raises:
        FailedPrecondition: the challenge is not good, or not any more (CONSENT_CHALLENGE_INVALID).
    """
    phrase = "" if check == OFF else await _met(connection, owner, voice, given.challenge, check)
    await connection.execute(
        "INSERT INTO consents (voice, owner, statement, given_by, recordings, digests, address, phrase, check_name)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            voice,
            owner,
            given.statement,
            given.given_by,
            list(recordings),
            list(digests),
            given.address,
            phrase,
            "" if check == OFF else check,
        ],
    )


async def _met(connection: Connection, owner: str, voice: str, challenge: str, check: str) -> str:
    """The phrase of a challenge, which no other voice can use from now on."""
    cursor = await connection.execute(
        "UPDATE consent_challenges SET voice = %s WHERE id = %s AND owner = %s AND check_name = %s"
        " AND voice IS NULL AND expires_at > now() RETURNING phrase",
        [voice, challenge, owner, check],
    )
    row = await cursor.fetchone()
    if row is None:
        raise errors.FailedPrecondition(
            "CONSENT_CHALLENGE_INVALID", "this challenge is not yours, was used, or has expired: ask for another"
        )
    phrase: str = row[0]
    return phrase


async def _read(connection: Connection, owner: str, voice: str) -> Consent | None:
    cursor = connection.cursor(row_factory=class_row(Consent))
    await cursor.execute(f"{_SELECT} WHERE c.owner = %s AND c.voice = %s", [owner, voice])
    return await cursor.fetchone()
