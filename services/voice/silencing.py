"""Silencing: what is being spoken ends as soon as its voice may speak no longer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

from services.mesh import errors
from services.voice import speeches
from services.voice.changes import Changes
from services.voice.speeches import LearnedVoices

P = TypeVar("P")

REREAD_SECONDS = 2.0
"""How often is looked without having been told of a change, since what tells of it can be lost."""
GRACE_SECONDS = 0.5
"""How long the work may take to end between two pieces, before it is ended in the middle of one."""


@dataclass
class _Hold:
    """One voice that is speaking."""

    why: errors.MeshError | None = field(default=None)
    """Why it may speak no longer."""


@dataclass(frozen=True)
class Silencing:
    """What tells that a voice was deleted, or its consent revoked."""

    changes: Changes
    voices: LearnedVoices

    async def while_allowed(self, owner: str, voice: str, pieces: AsyncGenerator[P, None]) -> AsyncGenerator[P, None]:
        """The pieces, for as long as the voice may speak; the work that makes them ends with it, also where nobody
        takes them.

        Raises:
            NotFound: it was deleted (VOICE_NOT_FOUND).
            FailedPrecondition: its person has revoked their consent (CONSENT_REVOKED).
        """
        async with self._held(owner, voice) as hold, aclosing(pieces):
            async for piece in pieces:
                if hold.why is not None:
                    raise hold.why
                yield piece

    @asynccontextmanager
    async def _held(self, owner: str, voice: str) -> AsyncIterator[_Hold]:
        hold = _Hold()
        try:
            async with asyncio.timeout(None) as limit:
                watching = asyncio.create_task(self._watch(owner, voice, hold, limit))
                try:
                    yield hold
                finally:
                    watching.cancel()
        except TimeoutError:
            if hold.why is not None:
                raise hold.why from None
            raise

    async def _watch(self, owner: str, voice: str, hold: _Hold, limit: asyncio.Timeout) -> None:
        # Looked at once too: it may have changed since what it speaks with was read.
        with self.changes.of(f"voices/{voice}") as changed:
            while hold.why is None:
                changed.clear()
                try:
                    await speeches.allowed(owner, voice, voices=self.voices)
                except errors.Unavailable:
                    pass  # The database is away for a moment.
                except errors.MeshError as error:
                    hold.why = error
                    limit.reschedule(asyncio.get_running_loop().time() + GRACE_SECONDS)
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), REREAD_SECONDS)
