"""A child process of the supervisor: started, started again whenever it ends, and stopped."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.local import leash
from services.local.record import Identity

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 30.0
STEADY = 60.0
"""After so many seconds a process counts as well: the next pause is the first again."""

Report = Callable[[str], None]


async def nothing() -> None:
    """No farewell."""


@dataclass(frozen=True)
class Process:
    """What to run, and how to tell whether it works."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    folder: Path
    """Where it runs."""
    probe: str = ""
    """See `health`."""
    address: str = ""
    """Where it listens, for people."""
    stage: int = 1
    """Lower stages are stopped before higher ones."""
    patience: float = 20.0
    """How many seconds it has between SIGTERM and SIGKILL."""
    farewell: Callable[[], Awaitable[None]] = nothing
    """What is done before SIGTERM."""


class Child:
    """A process that is kept running."""

    def __init__(self, process: Process, *, changed: Callable[[], None], report: Report) -> None:
        """Tells `changed` whenever it starts or ends, and `report` what a person should know."""
        self.process = process
        self.restarts = 0
        self.identity: Identity | None = None
        self.began = process.log.stat().st_size if process.log.exists() else 0
        self._changed = changed
        self._report = report
        self._stopping = asyncio.Event()
        self._since = 0.0
        self._running: asyncio.subprocess.Process | None = None

    async def run(self) -> None:
        """Keeps the process running until `stop`."""
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > STEADY:
                pause = FIRST_PAUSE
            self.restarts += 1
            self._changed()
            self._report(f"{self.process.name} ended ({outcome(code)}); starting it again in {pause:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _run_once(self) -> int:
        with self.process.log.open("ab") as output:
            # Not in our session: Ctrl-C in the terminal is for us, and we stop the children in order.
            self._running = await asyncio.create_subprocess_exec(
                *leash.command(self.process.command, signal=signal.SIGKILL),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.process.folder,
                env=dict(self.process.environment),
                umask=0o077,
                start_new_session=True,
            )
        if self._stopping.is_set():
            self._running.kill()
        pid = self._running.pid
        with contextlib.suppress(psutil.NoSuchProcess):
            self.identity = Identity.of(pid)
        self._since = time.monotonic()
        self._changed()
        try:
            return await self._running.wait()
        finally:
            self.identity = None
            # Its session is its own: what is left there are processes that it started and left behind.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)

    def age(self) -> float:
        """For how many seconds it has been running."""
        return time.monotonic() - self._since if self.identity else 0.0

    async def stop(self, hurry: asyncio.Event) -> None:
        """Asks the process to end and waits; kills it when its patience is over or `hurry` is set."""
        self._stopping.set()
        running = self._running
        if running is None or running.returncode is not None:
            return
        if not hurry.is_set():
            with contextlib.suppress(Exception):
                await self.process.farewell()
        with contextlib.suppress(ProcessLookupError):
            running.terminate()
        ended = asyncio.ensure_future(running.wait())
        hurried = asyncio.ensure_future(hurry.wait())
        await asyncio.wait({ended, hurried}, timeout=self.process.patience, return_when=asyncio.FIRST_COMPLETED)
        hurried.cancel()
        if not ended.done():
            if not hurry.is_set():
                self._report(f"{self.process.name} does not stop; killing it")
            with contextlib.suppress(ProcessLookupError):
                running.kill()
        await ended

    def said(self, lines: int = 12) -> str:
        """The end of what it logged since it was first started."""
        with self.process.log.open("rb") as log:
            log.seek(self.began)
            return "\n".join(log.read()[-8000:].decode(errors="replace").strip().splitlines()[-lines:])


def outcome(code: int) -> str:
    """An exit status in words."""
    return f"exit code {code}" if code >= 0 else f"signal {-code}, {signal.strsignal(-code)}"
