"""The queue of durable jobs: procrastinate, in the voice service's own database.

A job is deferred, or cancelled, in the transaction that changes its row, so that neither is ever
there without the other.
"""

from __future__ import annotations

from procrastinate import App, PsycopgConnector
from procrastinate.schema import SchemaManager

from services.mesh.postgres import Connection

VOICES = "voices"
SPEECHES = "speeches"


async def install(connection: Connection) -> None:
    """Installs procrastinate's tables and functions; a `Migration`."""
    await connection.execute(SchemaManager.get_schema())


class Queue:
    """Where jobs wait. `task` is VOICES or SPEECHES; a job knows its row by id, and the attempt it is for."""

    def __init__(self, url: str) -> None:
        self.app = App(connector=PsycopgConnector(conninfo=url, max_size=4))

    async def defer(self, connection: Connection, task: str, id: str, attempt: int) -> int:
        """Puts a job into the queue, in the transaction of `connection`; gives its number."""
        deferrer = self.app.configure_task(task, queue=task, lock=f"{task}/{id}", connection=connection)
        return await deferrer.defer_async(id=id, attempt=attempt)

    async def cancel(self, connection: Connection, job: int) -> None:
        """Takes a job out of the queue, or tells its worker to stop, in the transaction of `connection`."""
        await self.app.job_manager.cancel_job_by_id_async(job, abort=True, connection=connection)
