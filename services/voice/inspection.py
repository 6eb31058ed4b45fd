"""Inspection: the manifest in a stranger's file, found by a process of its own with little time and memory.

The reader of manifests reads nested boxes and certificates that anybody may have made up; should it run away or crash
on one, then that process ends, and the service does not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from datetime import datetime
from typing import BinaryIO

import structlog

from services.mesh.rlimits import confine
from services.voice import manifests
from services.voice.manifests import Manifest, State
from services.voice.receipts import Origin
from services.voice.signing import Anchors

log: structlog.stdlib.BoundLogger = structlog.get_logger("inspection")

_CPU_SECONDS = 10
_MEMORY_BYTES = 2 << 30
_PATIENCE_SECONDS = 60.0
_MARK = b"c2pa"
"""What every manifest is labelled with (C2PA specification 2.2, section 11.1.4.2)."""
_PIECE = 1 << 20


def inspect(file: BinaryIO, anchors: Anchors) -> Manifest | None:
    """The manifest of ours in a file of the operating system's, None if there is none. Blocks; for a thread."""
    if manifests.kind(file) is None or not _marked(file):
        return None
    file.flush()
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    command = [sys.executable, "-m", __spec__.name, anchors.pem]
    try:
        done = subprocess.run(command, stdin=file, capture_output=True, check=False, timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        log.warning("a file was too much for its inspection", status="time")
        return None
    if done.returncode != 0:
        log.warning("a file was too much for its inspection", status=done.returncode)
        return None
    told = json.loads(done.stdout)
    if told is None:
        return None
    origin, made_at = told["origin"], told["made_at"]
    return Manifest(
        State(told["state"]),
        Origin(**origin) if origin else None,
        datetime.fromisoformat(made_at) if made_at else None,
    )


def _marked(file: BinaryIO) -> bool:
    file.seek(0)
    tail = b""
    while piece := file.read(_PIECE):
        if _MARK in tail + piece:
            return True
        tail = piece[1 - len(_MARK) :]
    return False


def main(anchors: Anchors) -> None:
    """Says in JSON what is found in the standard input."""
    confine(cpu_seconds=_CPU_SECONDS, memory_bytes=_MEMORY_BYTES)
    found = manifests.find(sys.stdin.buffer, anchors)
    print(json.dumps(None if found is None else asdict(found), default=datetime.isoformat))


if __name__ == "__main__":
    main(Anchors.of(sys.argv[1].encode()))
