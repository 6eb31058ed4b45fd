"""Sweeps: the removal of bytes that no file has, because a file was deleted or an upload never ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import structlog

from services.mesh import errors
from services.storage.blobs import Blobs

log: structlog.stdlib.BoundLogger = structlog.get_logger("sweeps")


class Discards(Protocol):
    """Where it is written down which bytes are to be removed."""

    async def claim_discards(self) -> Sequence[str]:
        """Ids of some files whose bytes are due for removal. No upload can lay claim to them after this."""

    async def forget_discard(self, id: str) -> None:
        """The bytes have been removed."""


async def discard(id: str, *, store: Discards, blobs: Blobs) -> None:
    """Removes the bytes of a file that is not there; if that fails now, the next sweep does it."""
    try:
        await blobs.remove(id)
        await store.forget_discard(id)
    except errors.Unavailable:
        log.warning("bytes left for the next sweep", file=id)


async def sweep(store: Discards, blobs: Blobs) -> int:
    """Removes all bytes that are due; how many files' they were.

    Raises:
        Unavailable: the database or the object store does not answer.
    """
    removed = 0
    while due := await store.claim_discards():
        for id in due:
            await blobs.remove(id)
            await store.forget_discard(id)
        removed += len(due)
    if removed:
        log.info("swept", files=removed)
    return removed
