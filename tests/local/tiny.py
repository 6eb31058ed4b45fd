"""Small real programs for the supervisor to run, and a supervisor to run them: `python tiny.py PROGRAM …`.

A script rather than fixtures: what is tested is processes.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.local import foreground, state, topology
from services.local.child import Process
from services.local.state import State
from services.local.topology import Layout

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = "tiny.v1.TinyService"


def process(name: str, place: State, *program: str, **more: Any) -> Process:
    """A process that runs one of the programs below."""
    process = Process(
        name=name,
        command=(sys.executable, __file__, *program),
        environment={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'gen'}"},
        log=place.logs / f"{name}.log",
        folder=place.folder,
    )
    return replace(process, **more)


def sleeper(notes: str, name: str) -> None:
    """Writes down that it runs, then that it was asked to stop."""

    def end(*_: object) -> None:
        note(notes, f"{name} stopped")
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    note(notes, f"{name} runs as {os.getpid()}")
    while True:
        time.sleep(60)


def stubborn() -> None:
    """Does not stop when asked."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print("deaf", flush=True)
    while True:
        time.sleep(60)


def parent(notes: str) -> None:
    """Starts a process of its own and dies without ending it."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as orphan:
        note(notes, str(orphan.pid))
        os._exit(7)


def broken() -> None:
    """Cannot start."""
    sys.exit("the reason why")


async def service(address: str, tls: str, gate: str) -> None:
    """Serves its health over mTLS, and is well once the file `gate` is there."""
    folder = Path(tls)
    pair = ((folder / "tls.key").read_bytes(), (folder / "tls.crt").read_bytes())
    credentials = grpc.ssl_server_credentials([pair], (folder / "ca.crt").read_bytes(), require_client_auth=True)
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_secure_port(address, credentials)
    await server.start()
    while not await asyncio.to_thread(Path(gate).exists):
        await servicer.set(CONTRACT, health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(0.05)
    await servicer.set(CONTRACT, health_pb2.HealthCheckResponse.SERVING)
    await server.wait_for_termination()


def supervise(folder: str, notes: str) -> None:
    """A mesh of two sleepers in the foreground."""
    place = state.at(Path(folder))
    sleepers = [process(name, place, "sleeper", notes, name) for name in ("one", "two")]
    layout = Layout(port=0, services=dict.fromkeys(topology.OFFSETS, 0), only=frozenset())
    with mock.patch.object(topology, "processes", return_value=sleepers):
        asyncio.run(foreground.run(place, layout, report=lambda line: print(line, flush=True)))


def note(notes: str, line: str) -> None:
    """Adds a line in one write."""
    with Path(notes).open("a") as file:
        file.write(f"{line}\n")


if __name__ == "__main__":
    program, *arguments = sys.argv[1:]
    if program == "service":
        asyncio.run(service(*arguments))
    else:
        globals()[program](*arguments)
