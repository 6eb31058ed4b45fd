"""Uploads: from the first byte to a file that is there for good, or to nothing at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar
from uuid import UUID

from services.mesh import errors, identity, loops, names
from services.storage import files, media, probes
from services.storage.blobs import Blobs
from services.storage.files import File, Purpose
from services.storage.forms import Form
from services.storage.media import Media
from services.storage.spools import Spool, open_spool
from services.storage.sweeps import Discards, discard

T = TypeVar("T")

_RENEW_SECONDS = 300.0

HEADERLESS = "audio/pcm"
"""The content type of speech that has no container, so that nothing in it says what it is."""


@dataclass(frozen=True)
class Opening:
    """What an upload says before its bytes."""

    owner: str
    content_type: str
    display_name: str
    request_id: str
    purpose: Purpose


@dataclass(frozen=True)
class NewFile:
    """A file to be added."""

    id: str
    owner: str
    display_name: str
    content_type: str
    size: int
    sha256: str
    purpose: Purpose
    seconds: float | None
    request_id: str | None


class UploadStore(Discards, Protocol):
    """Where new files are entered."""

    async def reserve(self, id: str) -> None:
        """Makes the bytes of a file that may never come due for removal, some time from now."""

    async def renew(self, id: str) -> None:
        """Puts off the removal of bytes that are still being written, unless it has begun."""

    async def add(self, new: NewFile) -> File:
        """The file of this request_id: the new one, entered in the ledger too, or the one that was there.

        Raises:
            Unavailable: it took so long that its bytes were given up (UPLOAD_EXPIRED); they are due for removal again.
        """

    async def file_of_request(self, owner: str, request_id: str) -> File | None:
        """The file that a request made before."""


class Uploads:
    """Takes files in."""

    def __init__(
        self,
        store: UploadStore,
        blobs: Blobs,
        *,
        largest: int,
        spool: Path | None,
        threads: Executor,
        renew_seconds: float = _RENEW_SECONDS,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._largest = largest
        self._spool = spool
        self._threads = threads
        self._renew_seconds = renew_seconds

    async def receive(self, opening: Opening, pieces: AsyncIterator[bytes]) -> File:
        """The file that comes in `pieces`.

        Raises:
            InvalidArgument: FILE_EMPTY, NOT_AUDIO, FILE_TOO_LARGE, BAD_MULTIPART, or REQUEST_ID_REUSED.
            Unavailable: the database or the object store does not answer, or did not for so long that the bytes
                were given up (UPLOAD_EXPIRED).
        """
        # What the platform itself has made is as long as its text; only what people send is capped.
        largest = None if opening.purpose == Purpose.SPEECH else self._largest
        with open_spool(self._spool, largest) as spool:
            opening = await _fill(spool, opening, pieces)
            if not spool.size:
                raise errors.InvalidArgument("FILE_EMPTY", "there is nothing in this file")
            if opening.request_id:
                before = await self._store.file_of_request(opening.owner, opening.request_id)
                if before is not None:
                    return _same(before, spool.sha256)
            found = await self._probe(opening, spool)
            new = NewFile(
                id=names.new_id(),
                owner=opening.owner,
                display_name=opening.display_name,
                content_type=found.content_type,
                size=spool.size,
                sha256=spool.sha256,
                purpose=opening.purpose,
                seconds=found.seconds,
                request_id=opening.request_id or None,
            )
            return await self._keep(new, spool)

    async def _probe(self, opening: Opening, spool: Spool) -> Media:
        look = partial(probes.probe, spool.file)
        if opening.purpose == Purpose.SPEECH:
            if opening.content_type.split(";")[0].strip() == HEADERLESS:
                return Media(opening.content_type, None)
            look = partial(media.probe, spool.file, spool.size)  # The platform's own files do it no harm.
        return await asyncio.get_running_loop().run_in_executor(self._threads, look)

    async def _keep(self, new: NewFile, spool: Spool) -> File:
        """Bytes first, then the file: whatever is interrupted in between, the sweep removes."""
        await self._store.reserve(new.id)
        renew = partial(self._store.renew, new.id)
        async with loops.repeating("lease", renew, self._renew_seconds, after_seconds=self._renew_seconds):
            await self._blobs.write(new.id, spool.file)
        try:
            file = await self._store.add(new)
        except errors.Unavailable as error:
            # After any other, the file may have been added: whoever knows is the database.
            if error.reason == "UPLOAD_EXPIRED":
                await discard(new.id, store=self._store, blobs=self._blobs)
            raise
        if file.id != new.id:
            await discard(new.id, store=self._store, blobs=self._blobs)
            return _same(file, new.sha256)
        return file


def allow(purpose: Purpose, peer: str) -> Purpose:
    """The purpose, if the process at the other end may give a file that purpose.

    Raises:
        PermissionDenied: only the platform itself stores speech (PURPOSE_NOT_ALLOWED).
    """
    if purpose == Purpose.SPEECH and peer == identity.EDGE:
        raise errors.PermissionDenied("PURPOSE_NOT_ALLOWED", "only recordings can be uploaded")
    return purpose


async def patient(pieces: AsyncIterator[T], seconds: float) -> AsyncIterator[T]:
    """The pieces, each of which may keep us waiting for `seconds` (TimeoutError after that)."""
    while True:
        async with asyncio.timeout(seconds):
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                return
        yield piece


async def _fill(spool: Spool, opening: Opening, pieces: AsyncIterator[bytes]) -> Opening:
    """Reads the body into the spool; the opening, with what a form has to add to it."""
    form = Form(opening.content_type, spool.write) if _is_multipart(opening.content_type) else None
    write = spool.write if form is None else form.write
    async for piece in pieces:
        if piece:
            await asyncio.to_thread(write, piece)  # A digest of 1 MB takes milliseconds.
    if form is None:
        return opening
    form.finish()
    given = files.printable(form.fields.get("display_name", "")) or files.base_name(form.file_name)
    return replace(
        opening,
        display_name=opening.display_name or given,
        request_id=opening.request_id or _request_id(form.fields.get("request_id", "")),
    )


def _is_multipart(content_type: str) -> bool:
    return content_type.strip().lower().startswith("multipart/")


def _request_id(text: str) -> str:
    try:
        return str(UUID(text)) if text else ""
    except ValueError:
        raise errors.InvalidArgument.of("INVALID_FIELDS", "request_id", "must be a valid UUID") from None


def _same(before: File, sha256: str) -> File:
    if before.sha256 != sha256:
        raise errors.InvalidArgument(
            "REQUEST_ID_REUSED",
            "request_id: was used before, for other content",
            violations=[errors.Violation("request_id", "was used before, for other content")],
            name=names.join("files", before.id),
        )
    return before
