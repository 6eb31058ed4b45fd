"""The embedded PostgreSQL as a part of the mesh: started first, started again if it dies, stopped last."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from services.local import postgres
from services.local.errors import LocalError

T = TypeVar("T")
LOOK = 1.0


class Database:
    """A server watched from an event loop."""

    def __init__(self, server: postgres.Postgres, thread: ThreadPoolExecutor) -> None:
        """Works with `server` in `thread` only."""
        self.server = server
        self.restarts = 0
        self._thread = thread

    async def watch(self, changed: Callable[[], None], report: Callable[[str], None]) -> None:
        """Starts the server again whenever it has died."""
        while True:
            await asyncio.sleep(LOOK)
            if self.server.alive():
                continue
            report("postgres ended; starting it again")
            self.restarts += 1
            try:
                await asyncio.get_running_loop().run_in_executor(self._thread, self.server.revive)
            except (LocalError, OSError) as error:
                report(str(error))
                await asyncio.sleep(LOOK * min(2**self.restarts, 30))
            changed()


@contextlib.asynccontextmanager
async def embedded(folder: Path, log: Path, options: Mapping[str, str] | None) -> AsyncIterator[Database]:
    """A server for as long as the block runs."""
    # One thread for its whole life: a server dies with the thread that started it, and a loop must not wait.
    with ThreadPoolExecutor(1, "postgres") as thread:
        loop = asyncio.get_running_loop()
        starting = loop.run_in_executor(thread, lambda: postgres.start(folder, options=options, log=log))
        try:
            await asyncio.wait({starting})
            yield Database(starting.result(), thread)
        finally:
            await settled(starting)
            if starting.exception() is None:
                await settled(loop.run_in_executor(thread, starting.result().stop))


async def settled(work: "asyncio.Future[T]") -> None:
    """Waits for work that cannot be broken off, however often it is cancelled."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({work})
