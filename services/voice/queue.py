"""The queue of durable jobs: procrastinate, in the voice service's own database.

A job is deferred, or cancelled, in the transaction that changes its row, so that neither is ever
there without the other.
"""

from __future__ import annotations

from pathlib import Path

from procrastinate import App, PsycopgConnector
from procrastinate.schema import SchemaManager

from services.mesh.postgres import Connection

VOICES = "voices"
SPEECHES = "speeches"
FILES = "files"
REFINEMENTS = "refinements"
PRIORITY = {VOICES: 1, SPEECHES: 0, FILES: 2, REFINEMENTS: -1}
"""A voice is learned in seconds and waited for; a speech may take an hour; nobody waits for a refinement."""


async def install(connection: Connection) -> None:
    """Brings procrastinate's tables and functions up to date; a `Migration`.

    The library ships its whole schema, and a file for each later change of it.
    """
    changes = _changes()
    await connection.execute("CREATE TABLE IF NOT EXISTS procrastinate_migrations (name text PRIMARY KEY)")
    cursor = await connection.execute("SELECT name FROM procrastinate_migrations")
    applied = {name for (name,) in await cursor.fetchall()}
    if not applied:
        await connection.execute(SchemaManager.get_schema())
    for name, change in changes.items():
        if name in applied:
            continue
        if applied:
            await connection.execute(change)
        await connection.execute("INSERT INTO procrastinate_migrations (name) VALUES (%s)", [name])


def _changes() -> dict[str, bytes]:
    """The library's changes of its schema, by name, in order."""
    return {file.name: file.read_bytes() for file in sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))}


class Queue:
    """Where jobs wait. `task` is VOICES, SPEECHES or REFINEMENTS; a job knows its row by id, and its attempt."""

    def __init__(self, url: str) -> None:
        self.app = App(connector=PsycopgConnector(conninfo=url, max_size=6))

    async def defer(self, connection: Connection, task: str, id: str, attempt: int) -> int:
        """Puts a job into the queue, in the transaction of `connection`; gives its number."""
        deferrer = self.app.configure_task(
            task, queue=task, lock=f"{task}/{id}", priority=PRIORITY[task], connection=connection
        )
        return await deferrer.defer_async(id=id, attempt=attempt)

    async def remove_file(self, connection: Connection, owner: str, name: str) -> None:
        """Has a file of an owner removed, in the transaction of `connection`."""
        deferrer = self.app.configure_task(FILES, queue=FILES, priority=PRIORITY[FILES], connection=connection)
        await deferrer.defer_async(owner=owner, name=name)

    async def cancel(self, connection: Connection, job: int) -> None:
        """Takes a job out of the queue, or tells its worker to stop, in the transaction of `connection`."""
        await self.app.job_manager.cancel_job_by_id_async(job, abort=True, connection=connection)
