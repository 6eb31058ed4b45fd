"""The whole mesh for as long as a block runs: what `up`, the demo and the end-to-end tests open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from services.local import certificates, edge, ports, provenance, topology
from services.local.child import Report
from services.local.database import Database, embedded
from services.local.record import Entry, Identity, hold
from services.local.state import State
from services.local.supervisor import READY_LIMIT, Supervisor, rotate
from services.local.topology import Layout

RENEWAL = 60.0
"""How often the certificates are looked at, in seconds: soon after a machine has slept through their end, too."""


@dataclass(frozen=True)
class Mesh:
    """A running mesh."""

    state: State
    layout: Layout
    """With the ports that it really has."""
    tls: Mapping[str, Path]
    """The certificate folder of each process."""
    supervisor: Supervisor
    database: Database | None
    """The embedded PostgreSQL, unless every database was given."""

    @property
    def edge(self) -> str:
        """Envoy's address, as a base URL."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.layout.bind, self.layout.bind)  # noqa: S104 - for show
        scheme = "https" if self.layout.manners.tls else "http"
        return f"{scheme}://{host}:{self.layout.port}"

    def address(self, service: str) -> str:
        """Where a service listens, `host:port`."""
        return f"127.0.0.1:{self.layout.services[service]}"


@contextlib.asynccontextmanager
async def mesh(
    state: State,
    layout: Layout | None = None,
    *,
    options: Mapping[str, str] | None = None,
    report: Report = lambda line: None,
    limit: float = READY_LIMIT,
    hurry: asyncio.Event | None = None,
) -> AsyncIterator[Mesh]:
    """Starts the mesh on a state and waits until it is ready; stops it in order when the block ends.

    Ports of 0 become free ones. `options` are settings of the embedded PostgreSQL, `report` takes lines
    for a person, `limit` is in seconds; once `hurry` is set, stopping is killing. Raises LocalError.
    """
    with hold(state):
        layout = (layout or Layout()).settled()
        ports.check(layout.claims())
        tls = certificates.ensure(state.certificates)
        provenance.ensure(state.certificates)
        async with contextlib.AsyncExitStack() as stack:
            database = None
            if layout.needs_database():
                log = state.logs / "postgres.log"
                rotate(log)
                database = await stack.enter_async_context(embedded(state.postgres, log, options))
                report("postgres is ready")
            rotate(state.logs / "access.log")
            processes = topology.processes(layout, state, tls, database.server if database else None)
            supervisor = Supervisor(state, processes, tls=tls["envoy"], report=report, hurry=hurry)
            stack.push_async_callback(supervisor.stop)
            if database is not None:
                show(supervisor, database)
                watch = database.watch(lambda: show(supervisor, database), report)
                await stack.enter_async_context(background(watch))
            await stack.enter_async_context(background(renew(state)))
            supervisor.start()
            await supervisor.ready(limit)
            if "envoy" in layout.only:
                services = layout.only & topology.OFFSETS.keys()
                await edge.connected(f"http://127.0.0.1:{layout.admin}", services, limit)
            yield Mesh(state, layout, tls, supervisor, database)


def show(supervisor: Supervisor, database: Database) -> None:
    """Puts PostgreSQL into the record."""
    server = database.server
    with contextlib.suppress(psutil.NoSuchProcess):
        supervisor.add(
            "postgres", Entry(Identity.of(server.pid), address=str(server.socket), restarts=database.restarts)
        )


async def renew(state: State) -> None:
    """Keeps the certificates fresh while the mesh runs; the processes read them again by themselves."""
    while True:
        await asyncio.sleep(RENEWAL)
        await asyncio.to_thread(certificates.ensure, state.certificates)
        await asyncio.to_thread(provenance.ensure, state.certificates)


@contextlib.asynccontextmanager
async def background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Runs a coroutine beside the block and ends it with the block."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
