"""Running the mesh in the foreground until it is asked to stop, and asking it from elsewhere."""

import asyncio
import contextlib
import signal
from collections.abc import Mapping

import psutil

from services.local import record
from services.local.child import Report
from services.local.errors import LocalError
from services.local.mesh import mesh
from services.local.state import State
from services.local.topology import Layout

STOP_LIMIT = 120.0


async def run(state: State, layout: Layout, *, report: Report, options: Mapping[str, str] | None = None) -> None:
    """Runs the mesh until Ctrl-C or SIGTERM; at the second one, what has not stopped is killed."""
    task = asyncio.current_task()
    asked, hurry = asyncio.Event(), asyncio.Event()

    def ask() -> None:
        if asked.is_set():
            hurry.set()
        elif task is not None:
            asked.set()
            report("stopping (once more to kill)")
            task.cancel()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ask)
    try:
        async with mesh(state, layout, options=options, report=report, hurry=hurry) as running:
            report(f"VoiceMesh listens on {running.edge}; its logs are in {state.logs}; Ctrl-C stops it")
            await running.supervisor.wait()
    except asyncio.CancelledError:
        if not asked.is_set():
            raise
        report("stopped")
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)


def stop(state: State, limit: float = STOP_LIMIT) -> int | None:
    """Stops the mesh that runs on a state and waits for its end; gives its process id, None if none ran."""
    found = record.running(state)
    process = found.supervisor.find() if found else None
    if process is None:
        return None
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
        try:
            process.wait(limit)
        except psutil.TimeoutExpired:
            process.terminate()
            try:
                process.wait(limit)
            except psutil.TimeoutExpired:
                raise LocalError(f"pid {process.pid} does not stop; its logs are in {state.logs}") from None
    return process.pid
