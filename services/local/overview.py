"""How the processes of a running mesh are doing, seen from any other process."""

import asyncio
import time
from dataclasses import dataclass

from services.local import health, record
from services.local.record import Entry
from services.local.state import State


@dataclass(frozen=True)
class Row:
    """One process."""

    process: str
    pid: int | None
    address: str
    health: str
    """`ready`, `not ready`, or `down`."""
    uptime: float | None
    """In seconds."""
    restarts: int


async def look(state: State) -> list[Row] | None:
    """A row per process, each asked now; None if no mesh runs on the state."""
    found = record.running(state)
    if found is None:
        return None
    rows = await asyncio.gather(*(row(state, name, entry) for name, entry in found.children.items()))
    uptime = time.time() - found.supervisor.started
    return [Row("supervisor", found.supervisor.pid, "", "ready", uptime, 0), *rows]


async def row(state: State, name: str, entry: Entry) -> Row:
    """One process, asked now."""
    process = entry.identity.find() if entry.identity else None
    if entry.identity is None or process is None:
        return Row(name, None, entry.address, "down", None, entry.restarts)
    ready = await health.ready(name, entry.probe, state.certificates / "envoy")
    uptime = time.time() - entry.identity.started
    return Row(name, process.pid, entry.address, "ready" if ready else "not ready", uptime, entry.restarts)
