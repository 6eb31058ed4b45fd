"""What the rows of voices and speeches have in common: an owner, a request, and a job that comes along."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from psycopg.rows import dict_row

from services.mesh.pages import Page
from services.mesh.postgres import Connection, Database
from services.voice.jobs import Failure, Request, State, reused
from services.voice.queue import Queue

R = TypeVar("R")
_LARGEST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"


class JobRows(Generic[R]):
    """The rows of one table, each with a job.

    `select` is the query of a whole row up to its WHERE, in which the table is `t`, and `select_listed` that of a row
    in a list; `make` makes the domain's object of its columns. Every query names the owner, except those of the
    worker, which has no caller: those name the attempt or the run.
    """

    def __init__(
        self,
        database: Database,
        queue: Queue,
        table: str,
        select: str,
        make: Callable[[Mapping[str, Any]], R],
        *,
        select_listed: str = "",
    ) -> None:
        self._database = database
        self._queue = queue
        self._table = table
        self._select = select
        self._select_listed = select_listed or select
        self._make = make

    async def get(self, owner: str, id: str) -> R | None:
        """A row of this owner."""
        async with self._database.connection() as connection:
            return await self.read(connection, "t.owner = %s AND t.id = %s", [owner, id])

    async def read(self, connection: Connection, where: str, values: Sequence[object]) -> R | None:
        """The row that fulfils a condition, within a transaction."""
        cursor = connection.cursor(row_factory=dict_row)
        await cursor.execute(f"{self._select} WHERE {where}", values)
        row = await cursor.fetchone()
        return None if row is None else self._make(row)

    async def list(self, owner: str, page: Page) -> Sequence[R]:
        """One row more than the page holds, newest first."""
        async with self._database.connection() as connection:
            cursor = connection.cursor(row_factory=dict_row)
            await cursor.execute(
                f"{self._select_listed} WHERE t.owner = %s AND t.id < %s ORDER BY t.id DESC LIMIT %s",
                [owner, page.after or _LARGEST_ID, page.size + 1],
            )
            return [self._make(row) for row in await cursor.fetchall()]

    async def of_request(self, owner: str, request: Request) -> R | None:
        """The row that this request made before.

        Raises:
            InvalidArgument: the request id was used with other content (REQUEST_ID_REUSED).
        """
        if not request.id:
            return None
        async with self._database.connection() as connection:
            return await self.of_request_within(connection, owner, request)

    async def of_request_within(self, connection: Connection, owner: str, request: Request) -> R | None:
        """As `of_request`, within a transaction."""
        cursor = await connection.execute(
            f"SELECT request_digest FROM {self._table} WHERE owner = %s AND request_id = %s", [owner, request.id]
        )
        row = await cursor.fetchone()
        if row is None:
            return None
        if row[0] != request.digest:
            raise reused()
        return await self.read(connection, "t.owner = %s AND t.request_id = %s", [owner, request.id])

    async def defer(self, connection: Connection, id: str, attempt: int) -> None:
        """Gives a row its job, in the transaction that made the row or its new attempt."""
        job = await self._queue.defer(connection, self._table, id, attempt)
        await connection.execute(f"UPDATE {self._table} SET job = %s WHERE id = %s", [job, id])

    async def delete(self, owner: str, id: str) -> bool:
        """Removes a row and stops its job; whether it was there."""
        async with self._database.connection() as connection:
            return await self.delete_within(connection, owner, id)

    async def delete_within(self, connection: Connection, owner: str, id: str) -> bool:
        """As `delete`, within a transaction."""
        cursor = await connection.execute(
            f"DELETE FROM {self._table} WHERE owner = %s AND id = %s RETURNING job", [owner, id]
        )
        row = await cursor.fetchone()
        if row is not None and row[0] is not None:
            await self._queue.cancel(connection, row[0])
        return row is not None

    async def cancel(self, owner: str, id: str) -> R | None:
        """The row, CANCELLED if it was not final, its job stopped; None if it is not there."""
        async with self._database.connection() as connection:
            cursor = await connection.execute(
                f"UPDATE {self._table} SET state = 'CANCELLED', updated_at = now()"
                " WHERE owner = %s AND id = %s AND state IN ('PENDING', 'PROCESSING') RETURNING job",
                [owner, id],
            )
            row = await cursor.fetchone()
            if row is not None and row[0] is not None:
                await self._queue.cancel(connection, row[0])
            return await self.read(connection, "t.owner = %s AND t.id = %s", [owner, id])

    async def retry(self, owner: str, id: str, states: Sequence[State]) -> R | None:
        """The row, PENDING with a new job if it was in one of these states; None if it is not there."""
        async with self._database.connection() as connection:
            return await self.retry_within(connection, owner, id, states)

    async def retry_within(self, connection: Connection, owner: str, id: str, states: Sequence[State]) -> R | None:
        """As `retry`, within a transaction."""
        cursor = await connection.execute(
            f"UPDATE {self._table} SET state = 'PENDING', stage = '', progress_percent = 0, attempt = attempt + 1,"
            " failure_reason = NULL, failure_message = NULL, updated_at = now()"
            " WHERE owner = %s AND id = %s AND state = ANY(%s) RETURNING attempt",
            [owner, id, list(states)],
        )
        row = await cursor.fetchone()
        if row is not None:
            await self.defer(connection, id, row[0])
        return await self.read(connection, "t.owner = %s AND t.id = %s", [owner, id])

    async def begin(self, id: str, attempt: int) -> R | None:
        """The row, PROCESSING, if its job of this attempt is still wanted; a crashed one begins again.

        Each beginning is a run of its own. Only the last may write, so that a worker that was given up for dead
        and wakes again changes nothing.
        """
        async with self._database.connection() as connection:
            await connection.execute(
                f"UPDATE {self._table} SET state = 'PROCESSING', stage = 'starting', run = run + 1,"
                " updated_at = now()"
                " WHERE id = %s AND attempt = %s AND state IN ('PENDING', 'PROCESSING')",
                [id, attempt],
            )
            return await self.read(connection, "t.id = %s AND t.attempt = %s AND t.state = 'PROCESSING'", [id, attempt])

    async def progress(self, id: str, run: int, stage: str, percent: int) -> None:
        """Notes how far a job has come; it never goes back."""
        async with self._database.connection() as connection:
            await connection.execute(
                f"UPDATE {self._table} SET stage = %s, progress_percent = greatest(progress_percent, %s),"
                " updated_at = now() WHERE id = %s AND run = %s AND state = 'PROCESSING'",
                [stage, percent, id, run],
            )

    async def fail(self, id: str, run: int, failure: Failure) -> None:
        """Ends a run that cannot succeed."""
        await self._fail("run = %s", [id, run], failure)

    async def abandon(self, id: str, attempt: int, failure: Failure) -> None:
        """Ends a job that no worker has survived."""
        await self._fail("attempt = %s", [id, attempt], failure)

    async def _fail(self, which: str, values: Sequence[object], failure: Failure) -> None:
        async with self._database.connection() as connection:
            await connection.execute(
                f"UPDATE {self._table} SET state = 'FAILED', failure_reason = %s, failure_message = %s,"
                f" updated_at = now() WHERE id = %s AND {which} AND state IN ('PENDING', 'PROCESSING')",
                [failure.reason, failure.message, *values],
            )


def job_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a row as the domain has them: a state, and a failure or none."""
    columns = dict(row)
    reason, message = columns.pop("failure_reason"), columns.pop("failure_message")
    return {
        **columns,
        "state": State(columns["state"]),
        "failure": None if reason is None else Failure(reason, message),
    }
