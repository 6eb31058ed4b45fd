"""Spools: where an upload waits, digested and counted, until it is complete."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from services.mesh import errors


class Spool:
    """Takes in bytes up to a cap."""

    def __init__(self, file: BinaryIO, largest: int | None) -> None:
        self.file = file
        self.size = 0
        self._largest = largest
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written, in hexadecimal digits."""
        return self._digest.hexdigest()

    def write(self, piece: bytes | memoryview) -> None:
        """Takes in a piece.

        Raises:
            InvalidArgument: that would be more than the cap (FILE_TOO_LARGE).
        """
        self.size += len(piece)
        if self._largest is not None and self.size > self._largest:
            raise errors.InvalidArgument(
                "FILE_TOO_LARGE",
                f"a file may have {self._largest} bytes at most",
                largest_file_bytes=str(self._largest),
            )
        self._digest.update(piece)
        self.file.write(piece)


@contextmanager
def open_spool(folder: Path | None, largest: int | None) -> Iterator[Spool]:
    """A spool for the time of the block. Its file has no name, so that it is gone with the process at the latest."""
    with tempfile.TemporaryFile(dir=folder) as file:
        yield Spool(file, largest)
