"""Probes: what a stranger's file is, found out by a process of its own with little time and memory.

A file of a kilobyte can announce so many samples that the reader makes a table of gigabytes for them, or be one
that the reader crashes on; then that process ends, and the service does not.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import BinaryIO

import structlog

from services.mesh import errors
from services.mesh.rlimits import confine
from services.storage import media
from services.storage.media import Media

log: structlog.stdlib.BoundLogger = structlog.get_logger("probes")

_CPU_SECONDS = 10
_MEMORY_BYTES = 1 << 30
_PATIENCE_SECONDS = 120.0
_REFUSED = 3
_OVERCOME = frozenset({signal.SIGXCPU, signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})


def probe(file: BinaryIO) -> Media:
    """What the file, one of the operating system's, is. Blocks; for a thread.

    Raises:
        InvalidArgument: it has no audio track of which anything can be decoded with reasonable means (NOT_AUDIO).
        RuntimeError: the process ended otherwise than it should.
    """
    file.flush()
    # The other process moves the position, which is one for both, and of which Python here keeps a copy.
    position = os.lseek(file.fileno(), 0, os.SEEK_CUR)
    os.lseek(file.fileno(), 0, os.SEEK_SET)
    try:
        command = [sys.executable, "-m", __spec__.name]
        done = subprocess.run(command, stdin=file, capture_output=True, check=False, timeout=_PATIENCE_SECONDS)
    finally:
        os.lseek(file.fileno(), position, os.SEEK_SET)
    if done.returncode == 0:
        return Media(**json.loads(done.stdout))
    if -done.returncode in _OVERCOME:
        log.warning("a file was too much for its probe", signal=signal.Signals(-done.returncode).name)
    elif done.returncode != _REFUSED:
        raise RuntimeError(f"the probe ended with {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}")
    raise media.not_audio()


def main() -> int:
    """Says what is at the standard input, in JSON; the exit status tells whether it is audio."""
    confine(cpu_seconds=_CPU_SECONDS, memory_bytes=_MEMORY_BYTES)
    try:
        found = media.probe(sys.stdin.buffer, os.fstat(0).st_size)
    except (errors.InvalidArgument, MemoryError):
        return _REFUSED
    print(json.dumps(asdict(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
