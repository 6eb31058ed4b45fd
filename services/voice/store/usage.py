"""The ledger of what was used, and its sums."""

from __future__ import annotations

from services.mesh import names
from services.mesh.audit import store as audit
from services.mesh.audit.events import Kind
from services.mesh.postgres import Database
from services.voice.usage import Day, Summary


class UsageRows:
    """Usage in PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def spoke(self, work: str, owner: str, voice: str, characters: int, audio_seconds: float) -> None:
        """Notes what a text spoken at once has come to so far, and the first time that the voice speaks."""
        async with self._database.connection() as connection:
            before = await connection.execute(
                "UPDATE usage_ledger SET audio_seconds = %s WHERE work = %s AND owner = %s",
                [audio_seconds, work, owner],
            )
            if before.rowcount:
                return
            await connection.execute(
                "INSERT INTO usage_ledger (work, owner, characters, audio_seconds) VALUES (%s, %s, %s, %s)",
                [work, owner, characters, audio_seconds],
            )
            name, count = names.join("voices", voice), str(characters)
            await audit.record(connection, Kind.VOICE_SPOKE, owner, name, characters=count)

    async def summarize(self, owner: str, days: int) -> Summary:
        """The sums of an owner, by day for the last `days` days of UTC."""
        async with self._database.connection() as connection:
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            states = await connection.execute(
                "SELECT state, count(*) FROM voices WHERE owner = %s GROUP BY state", [owner]
            )
            voices_by_state = {state: int(count) for state, count in await states.fetchall()}
            totals = await connection.execute(
                "SELECT coalesce(sum(characters), 0)::bigint, coalesce(sum(audio_seconds), 0)"
                " FROM usage_ledger WHERE owner = %s",
                [owner],
            )
            row = await totals.fetchone()
            assert row is not None
            by_day = await connection.execute(
                "SELECT (at AT TIME ZONE 'UTC')::date AS day, sum(voices_created)::int, sum(characters)::bigint,"
                " sum(audio_seconds) FROM usage_ledger"
                " WHERE owner = %s AND (at AT TIME ZONE 'UTC')::date > (now() AT TIME ZONE 'UTC')::date - %s"
                " GROUP BY day ORDER BY day DESC",
                [owner, days],
            )
            found = [Day(*each) for each in await by_day.fetchall()]
        return Summary(voices_by_state, characters=row[0], audio_seconds=row[1], days=found)
