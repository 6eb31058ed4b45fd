"""Files: what is known of a piece of stored audio, and who may have it."""

from __future__ import annotations

import mimetypes
import unicodedata
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.mesh import errors
from services.mesh.pages import Page
from services.storage.blobs import Blobs

LONGEST_NAME = 255

# They reorder the text around them, so that `gpj.exe` can look like `exe.jpg`.
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Purpose(StrEnum):
    """What a file is for."""

    RECORDING = "RECORDING"
    SPEECH = "SPEECH"


@dataclass(frozen=True)
class File:
    """A stored piece of audio."""

    id: str
    display_name: str
    content_type: str
    size: int
    sha256: str
    purpose: Purpose
    seconds: float | None
    """As the container says; None where it does not."""
    created_at: datetime


class FileStore(Protocol):
    """Where files are kept, all but their bytes."""

    async def file(self, owner: str, id: str) -> File | None:
        """A file of an owner."""

    async def files(self, owner: str, purpose: Purpose, page: Page) -> Sequence[File]:
        """Up to `page.size + 1` files, newest first."""

    async def remove(self, owner: str, id: str) -> bool:
        """Takes a file from its owner and makes its bytes due for removal; whether there was one."""


async def get(owner: str, id: str, *, store: FileStore) -> File:
    """A file of its owner.

    Raises:
        NotFound: there is none (FILE_NOT_FOUND).
    """
    file = await store.file(owner, id)
    if file is None:
        raise _no_such(id)
    return file


async def read(owner: str, id: str, *, store: FileStore, blobs: Blobs) -> tuple[File, AsyncGenerator[bytes, None]]:
    """A file of its owner, with its bytes.

    Raises:
        NotFound: there is none (FILE_NOT_FOUND).
    """
    file = await get(owner, id, store=store)
    try:
        return file, await blobs.read(file.id)
    except FileNotFoundError as error:
        raise _no_such(id) from error  # Deleted since the line above.


async def delete(owner: str, id: str, *, store: FileStore) -> None:
    """Removes a file for good; its bytes follow as soon as somebody sweeps.

    Raises:
        NotFound: there is none (FILE_NOT_FOUND).
    """
    if not await store.remove(owner, id):
        raise _no_such(id)


def base_name(name: str) -> str:
    """A file name that somebody's computer made up, without the folders it had there."""
    name = printable(name.replace("\\", "/").rpartition("/")[2])
    return "" if name in (".", "..") else name


def printable(text: str) -> str:
    """The text on one line, without characters that nobody sees or that misplace others, of bounded length."""
    kept = (
        character
        for character in unicodedata.normalize("NFC", text)
        if unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") and character not in _BIDIRECTIONAL
    )
    return "".join(kept).strip()[:LONGEST_NAME].rstrip()


def download_name(file: File) -> str:
    """What the file should be called on the computer that downloads it."""
    name = base_name(file.display_name) or file.id
    _, dot, extension = name.rpartition(".")
    if dot and 1 <= len(extension) <= 5 and extension.isalnum():
        return name
    return name + (mimetypes.guess_extension(file.content_type) or "")


def _no_such(id: str) -> errors.NotFound:
    return errors.NotFound("FILE_NOT_FOUND", f"there is no files/{id}", name=f"files/{id}")
