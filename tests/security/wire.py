"""Bytes as they are, to Envoy's port, and every answer that comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from dataclasses import dataclass

from services.local.mesh import Mesh

PATIENCE = 3.0
"""How long after the last byte an answer is waited for, in seconds."""
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n")


@dataclass(frozen=True)
class Heard:
    """What came back on one connection."""

    raw: bytes
    closed: bool
    """Whether Envoy ended the connection."""

    @property
    def statuses(self) -> list[int]:
        """Of each answer, in order."""
        return [int(found) for found in _STATUS.findall(self.raw)]

    @property
    def body(self) -> dict[str, object]:
        """The first answer's, which is JSON."""
        head, _, rest = self.raw.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        found: dict[str, object] = json.loads(rest[: int(length[1])] if length else rest)
        return found


async def say(running: Mesh, *pieces: bytes, patience: float = PATIENCE, after: float = 0.2) -> Heard:
    """Sends the pieces on a connection of their own; waits `after` seconds for more when something has come."""
    host, port = running.edge.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    raw, closed = b"", False
    try:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
        with contextlib.suppress(ConnectionError):
            while True:
                try:
                    # An answer that is whole is all there is, but for another that should not come.
                    more = await asyncio.wait_for(reader.read(65536), patience if not raw else after)
                except TimeoutError:
                    break
                if not more:
                    closed = True
                    break
                raw += more
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    return Heard(raw, closed)


def request(verb: str, path: str, *lines: str, body: bytes = b"", host: str = "mesh") -> bytes:
    """A request of HTTP/1.1 with these header lines."""
    return "\r\n".join([f"{verb} {path} HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode("latin-1") + body
