"""A stub as a process of its own, to be paused: python -m tests.envoy.process <process> <listen> <certificates>"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from services.mesh.server import Application, run
from services.mesh.settings import MeshSettings
from tests.envoy import stubs
from tests.envoy.edge import services
from tests.issuer import Issuer

ROOT = Path(__file__).parents[2]


@contextmanager
def started(module: str, *words: str, **environment: str) -> Iterator[psutil.Process]:
    """Runs a module of ours within the block."""
    paths = {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    command = [sys.executable, "-m", module, *words]
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **paths, **environment}) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


if __name__ == "__main__":
    name, listen, certificates = sys.argv[1:]
    seen = stubs.Seen()

    @asynccontextmanager
    async def open_app(settings: MeshSettings) -> AsyncIterator[Application]:
        yield Application(services(Issuer(), seen, stubs.Voice(seen))[name])

    run(name, MeshSettings(listen=listen, tls=Path(certificates)), open_app)
