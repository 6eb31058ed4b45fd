"""Blobs: the bytes of files, by id, on a local disk or in a bucket."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import obstore
import structlog
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from services.mesh import errors

if TYPE_CHECKING:
    from obstore.store import ObjectStore

log: structlog.stdlib.BoundLogger = structlog.get_logger("blobs")

PIECE = 128 * 1024
_PART = 5 * 1024 * 1024
_MARK = "voicemesh"
_RETRY_SECONDS = 1.0


class Blobs:
    """Keeps bytes; a blob is there whole or not at all."""

    def __init__(self, store: ObjectStore, folder: Path | None = None) -> None:
        self._store = store
        self._folder = folder

    async def write(self, id: str, file: BinaryIO) -> None:
        """Stores the bytes of `file` from its beginning. When this returns they survive a loss of power.

        Raises:
            Unavailable: the object store does not answer (OBJECTS_UNAVAILABLE).
        """
        file.seek(0)
        head = await asyncio.to_thread(file.read, _PART)
        with _translated():
            if len(head) < _PART:
                await obstore.put_async(self._store, _key(id), head)
            else:
                await obstore.put_async(self._store, _key(id), _pieces(head, file), max_concurrency=4)
            if self._folder is not None:
                await asyncio.to_thread(_sync, self._folder / _key(id))

    async def read(self, id: str) -> AsyncGenerator[bytes, None]:
        """The bytes, in pieces; for a reader that closes what it does not read to its end.

        Raises:
            FileNotFoundError: there are none.
            Unavailable: the object store does not answer (OBJECTS_UNAVAILABLE).
        """
        with _translated():
            found = await obstore.get_async(self._store, _key(id))
        return _stream(found.stream(min_chunk_size=PIECE))

    async def remove(self, id: str) -> None:
        """Removes the bytes, if there are any, and what an interrupted write may have left of them.

        Raises:
            Unavailable: the object store does not answer (OBJECTS_UNAVAILABLE).
        """
        with _translated():
            with suppress(FileNotFoundError):
                await obstore.delete_async(self._store, _key(id))
            if self._folder is not None:
                await asyncio.to_thread(_remove_staged, self._folder / _key(id))

    async def mark(self) -> None:
        """Writes the object that `ping` looks for.

        Raises:
            Unavailable: the object store does not answer (OBJECTS_UNAVAILABLE).
        """
        with _translated():
            await obstore.put_async(self._store, _MARK, b"VoiceMesh keeps files here.\n")

    async def ping(self) -> None:
        """Returns if the object store answers and is the one we began with.

        Raises:
            Unavailable: it is not (OBJECTS_UNAVAILABLE).
        """
        with _translated():
            try:
                await obstore.head_async(self._store, _MARK)
            except FileNotFoundError as error:
                raise _unavailable() from error  # As when a disk is not mounted.


@asynccontextmanager
async def open_blobs(root: str) -> AsyncIterator[Blobs]:
    """The blobs under a folder or a bucket's URL; waits until it answers, since processes start in any order."""
    blobs = _blobs(root)
    while True:
        try:
            await blobs.mark()
            break
        except errors.Unavailable:
            await asyncio.sleep(_RETRY_SECONDS)
    yield blobs


def _blobs(root: str) -> Blobs:
    if "://" in root:
        store = from_url(
            root,
            # A request lasts as long as a slow person's download does. Whether to encrypt, the endpoint's URL says.
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=5),
                "read_timeout": timedelta(seconds=30),
                "timeout": timedelta(hours=1),
            },
            retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=20)},
        )
        return Blobs(store)
    folder = Path(root).absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Blobs(LocalStore(folder), folder)


def _key(id: str) -> str:
    # The end of a UUIDv7 is random, so this spreads files over 256 folders.
    return f"{id[-2:]}/{id}"


async def _pieces(head: bytes, file: BinaryIO) -> AsyncIterator[bytes]:
    piece = head
    while piece:
        yield piece
        piece = await asyncio.to_thread(file.read, _PART)


async def _stream(found: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    with _translated():
        async for piece in found:
            yield piece


def _sync(path: Path) -> None:
    """Makes sure that a file and its place in its folder are on the disk: obstore does not."""
    for each in (path, path.parent, path.parent.parent):
        descriptor = os.open(each, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove_staged(path: Path) -> None:
    """obstore writes to `<name>#<number>` first, and leaves that behind when it is interrupted."""
    for staged in path.parent.glob(f"{path.name}#*"):
        staged.unlink(missing_ok=True)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except (BaseError, OSError) as error:
        log.warning("object store unavailable", error=type(error).__name__, message=str(error).split("\n", 1)[0])
        raise _unavailable() from error


def _unavailable() -> errors.Unavailable:
    return errors.Unavailable("OBJECTS_UNAVAILABLE", "the object store does not answer just now", retry_after=2)
