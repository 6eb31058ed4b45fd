"""History: what was done with a user's things, put together from those who did it."""

from __future__ import annotations

from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import Protocol, TypeVar

from services.mesh.pages import Identified, Page

E_co = TypeVar("E_co", bound=Identified, covariant=True)
E = TypeVar("E", bound=Identified)


class Logs(Protocol[E_co]):
    """The audit logs of those who do something for the caller."""

    async def events(self, before: str, limit: int) -> Sequence[Sequence[E_co]]:
        """The latest events of each log, newest first, `limit` at most: those before the one with the id `before`, if
        it is not empty."""


async def events(page: Page, *, logs: Logs[E]) -> Sequence[E]:
    """One event more than the page holds, newest first."""
    limit = page.size + 1
    found = await logs.events(page.after, limit)
    # Ids are UUIDs of version 7, so that their order is that of time.
    return list(islice(merge(*found, key=lambda event: event.id, reverse=True), limit))
