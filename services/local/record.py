"""The record of who runs a state: the supervisor and its children, by process id and start time.

A process id alone is not a name: the system gives it again. With the start time it is one.
"""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

import psutil
from filelock import FileLock, Timeout

from services.local.errors import AlreadyRunningError
from services.local.state import State, private

TOLERANCE = 1.0
"""Seconds by which a start time may differ between two readings, after the clock was set."""


@dataclass(frozen=True)
class Identity:
    """One process, once and for all."""

    pid: int
    started: float

    @classmethod
    def of(cls, pid: int) -> "Identity":
        """The process that has this id now."""
        return cls(pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= TOLERANCE
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


@dataclass(frozen=True)
class Entry:
    """A child of the supervisor."""

    identity: Identity | None
    probe: str = ""
    address: str = ""
    restarts: int = 0


@dataclass(frozen=True)
class Record:
    """A supervisor and its children."""

    supervisor: Identity
    children: dict[str, Entry] = field(default_factory=dict)


def write(state: State, record: Record) -> None:
    """Puts the record into the state directory."""
    private(state.supervisor, json.dumps(asdict(record), indent=1).encode())


def read(state: State) -> Record | None:
    """The record in the state directory, of a living supervisor or a dead one; None without one."""
    try:
        content = json.loads(state.supervisor.read_text())
        children = {
            name: Entry(**{**entry, "identity": Identity(**entry["identity"]) if entry["identity"] else None})
            for name, entry in content["children"].items()
        }
        return Record(Identity(**content["supervisor"]), children)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def running(state: State) -> Record | None:
    """The record, if its supervisor is alive."""
    record = read(state)
    return record if record and record.supervisor.find() else None


@contextlib.contextmanager
def hold(state: State) -> Iterator[None]:
    """Keeps the state to this process alone; ends first what an earlier supervisor left behind."""
    lock = FileLock(state.folder / "lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        record = read(state)
        who = f"pid {record.supervisor.pid}" if record else "a process that is just starting"
        raise AlreadyRunningError(
            f"VoiceMesh already runs on {state.folder}: {who}; `voicemesh down` stops it"
        ) from None
    try:
        sweep(state)
        yield
    finally:
        state.supervisor.unlink(missing_ok=True)
        lock.release()


def sweep(state: State) -> None:
    """Ends the children of a supervisor that died without ending them (where the kernel does not do it)."""
    record = read(state)
    if record is None:
        return
    left = [process for entry in record.children.values() if entry.identity and (process := entry.identity.find())]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)
