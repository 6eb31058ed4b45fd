"""Following something until it has come to its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from services.mesh import errors
from services.voice.changes import Changes
from services.voice.jobs import State

REREAD_SECONDS = 3.0


class Watched(Protocol):
    """What can be followed."""

    @property
    def name(self) -> str:
        """Resource name."""

    @property
    def state(self) -> State:
        """How far it has come."""


W = TypeVar("W", bound=Watched)
Events: TypeAlias = AsyncGenerator[W | errors.MeshError | None, None]
"""The thing; or why the watch ends; or None, which only shows life."""


@dataclass(frozen=True)
class Watching:
    """What all watches of a process share."""

    changes: Changes
    draining: asyncio.Event
    keep_alive_seconds: float

    async def follow(
        self, name: str, read: Callable[[], Awaitable[W]], *, ended: Callable[[W], bool] = lambda seen: seen.state.final
    ) -> Events[W]:
        """The thing as it is, then whenever it changes; last always one that has `ended`, or why the watch ends
        without.

        Raises whatever `read` raises the first time: then there is nothing to follow.
        """
        loop = asyncio.get_running_loop()
        with self.changes.of(name) as changed:
            seen = await read()
            yield seen
            shown = loop.time()
            while not ended(seen):
                await self._wait(changed)
                if self.draining.is_set():
                    yield errors.Unavailable("DRAINING", "the service restarts; watch again", retry_after=1)
                    return
                try:
                    now = await read()
                except errors.Unavailable:
                    now = seen  # The database is away for a moment: the watch goes on.
                except errors.MeshError as error:
                    yield error
                    return
                if now != seen:
                    yield now
                    seen, shown = now, loop.time()
                elif loop.time() - shown >= self.keep_alive_seconds:
                    yield None
                    shown = loop.time()

    async def _wait(self, changed: asyncio.Event) -> None:
        """Until the row changes, the process drains, or it is time to look again."""
        waiting = {asyncio.ensure_future(changed.wait()), asyncio.ensure_future(self.draining.wait())}
        try:
            await asyncio.wait(
                waiting,
                timeout=min(REREAD_SECONDS, self.keep_alive_seconds),
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            for each in waiting:
                each.cancel()
        changed.clear()
