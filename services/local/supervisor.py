"""The supervisor: keeps the processes running, tells when they are ready, stops them in order."""

import asyncio
import contextlib
import itertools
import os
import resource
import time
from collections.abc import Iterable
from pathlib import Path

from services.local import health, record
from services.local.child import Child, Process, Report
from services.local.errors import LocalError
from services.local.record import Entry, Identity, Record
from services.local.state import State

READY_LIMIT = 180.0
HOPELESS = 4
"""A process that ended so often before it was ready once will not come."""
SETTLED = 2.0
"""For so many seconds a process that nobody can ask must have lived."""
LARGEST_LOG = 16 * 1024 * 1024


class Supervisor:
    """A set of processes on one state."""

    def __init__(
        self,
        state: State,
        processes: Iterable[Process],
        *,
        tls: Path,
        report: Report,
        hurry: asyncio.Event | None = None,
    ) -> None:
        """`tls` is the certificate folder to ask the processes with; once `hurry` is set, `stop` kills."""
        self._state = state
        self._tls = tls
        self._report = report
        self._hurry = hurry or asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._extra: dict[str, Entry] = {}
        self._children: dict[str, Child] = {}
        for process in processes:
            rotate(process.log)
            self._children[process.name] = Child(process, changed=self._write, report=report)

    def add(self, name: str, entry: Entry) -> None:
        """Shows a process in the record that something else keeps running."""
        self._extra[name] = entry
        self._write()

    def start(self) -> None:
        """Starts every process, in no order: each waits for what it needs."""
        lift_open_files()
        for name, child in self._children.items():
            self._tasks[name] = asyncio.create_task(child.run(), name=name)

    def pid(self, name: str) -> int | None:
        """The process id of a process that runs now."""
        identity = self._children[name].identity
        return identity.pid if identity else None

    def restarts(self, name: str) -> int:
        """How often a process was started again."""
        return self._children[name].restarts

    async def ready(self, limit: float = READY_LIMIT) -> None:
        """Waits until every process is ready, and reports each; raises LocalError with a reason if one is not."""
        began = time.monotonic()
        deadline = began + limit
        waiting = dict(self._children)
        while waiting:
            # Those that nobody can ask come last: by then one that cannot start has shown it.
            asked = {name: child for name, child in waiting.items() if child.process.probe} or waiting
            answers = await asyncio.gather(*(self._is_ready(child) for child in asked.values()))
            for name, is_ready in zip(list(asked), answers, strict=True):
                if is_ready:
                    del waiting[name]
                    self._report(f"{name} is ready ({time.monotonic() - began:.1f} s)")
            for child in waiting.values():
                if (task := self._tasks[child.process.name]).done():
                    task.result()
                if child.restarts >= HOPELESS or time.monotonic() > deadline:
                    self._hurry.set()
                    raise LocalError(hopeless(child))
            await asyncio.sleep(0.1)

    async def _is_ready(self, child: Child) -> bool:
        name, probe = child.process.name, child.process.probe
        return child.age() > (0.0 if probe else SETTLED) and await health.ready(name, probe, self._tls)

    async def wait(self) -> None:
        """Returns never: the processes are kept running until the waiting is cancelled."""
        if self._tasks:
            # Not gather: its cancellation would reach the children, which are to be stopped in order.
            done, _ = await asyncio.wait(self._tasks.values(), return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()

    async def stop(self) -> None:
        """Stops the processes stage by stage."""
        ordered = sorted(self._children.values(), key=lambda child: child.process.stage)
        for _, stage in itertools.groupby(ordered, key=lambda child: child.process.stage):
            await asyncio.gather(*(child.stop(self._hurry) for child in stage))
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def _write(self) -> None:
        children = {
            name: Entry(child.identity, child.process.probe, child.process.address, child.restarts)
            for name, child in self._children.items()
        }
        with contextlib.suppress(OSError):
            record.write(self._state, Record(Identity.of(os.getpid()), {**self._extra, **children}))


def hopeless(child: Child) -> str:
    """Why the mesh is not started further, with the end of what the process said."""
    name, log = child.process.name, child.process.log
    what = f"{name} ends whenever it is started" if child.restarts >= HOPELESS else f"{name} is not getting ready"
    return f"{what}; the end of {log}:\n{child.said()}"


def rotate(log: Path) -> None:
    """Puts a log that has grown large aside, over the one before."""
    if log.exists() and log.stat().st_size > LARGEST_LOG:
        log.replace(log.with_name(f"{log.name}.1"))


def lift_open_files() -> None:
    """Allows as many open files as this user may have: watchers are connections, and Envoy holds two for each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard if hard != resource.RLIM_INFINITY else max(soft, 65536), hard))
