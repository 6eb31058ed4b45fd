"""Who waits for a change of what: one LISTEN connection a process, for any number of watchers.

PostgreSQL's notifications only say that something changed; the row is the truth. Since a notification can be
missed while the connection is down, watchers look again every few seconds all the same.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psycopg
import structlog

from services.mesh.loops import repeating

log: structlog.stdlib.BoundLogger = structlog.get_logger("changes")

CHANNEL = "voicemesh_changes"
_RECONNECT_SECONDS = 1.0


class Changes:
    """Tells watchers that a row has changed. Rows are named `voices/{id}` and `speeches/{id}`."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextmanager
    def of(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the row changes."""
        changed = asyncio.Event()
        self._waiting[name].add(changed)
        try:
            yield changed
        finally:
            self._waiting[name].discard(changed)
            if not self._waiting[name]:
                del self._waiting[name]

    async def listen(self) -> None:
        """Listens until the connection is lost."""
        try:
            async with await psycopg.AsyncConnection.connect(
                self._url,
                autocommit=True,
                connect_timeout=5,
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
            ) as connection:
                await connection.execute(f"LISTEN {CHANNEL}")
                self._wake_all()
                async for notification in connection.notifies():
                    for changed in self._waiting.get(notification.payload, ()):
                        changed.set()
        except psycopg.OperationalError as error:
            log.warning("not listening", error=type(error).__name__)

    def _wake_all(self) -> None:
        for waiting in self._waiting.values():
            for changed in waiting:
                changed.set()


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Changes]:
    """Changes in the database at `url`, as long as the block lasts."""
    changes = Changes(url)
    async with repeating("changes", changes.listen, _RECONNECT_SECONDS):
        yield changes
