"""Real services behind a real Envoy on one machine: ready, reached, hurt, stopped."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from services.local import cluster, health, postgres, record, state, topology
from services.local.errors import PortTakenError
from services.local.mesh import Mesh, mesh
from services.local.state import State
from services.local.topology import Layout

FEW = Layout(
    port=0,
    services=dict.fromkeys(topology.OFFSETS, 0),
    only=frozenset({"auth", "gateway", "envoy"}),
)
KEYS = "/.well-known/jwks.json"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[State]:
    place = state.at(tmp_path / "state")
    yield place
    cluster.erase(place.postgres)


@pytest.fixture
async def running(place: State) -> AsyncIterator[Mesh]:
    async with mesh(place, FEW, options=postgres.FAST) as found:
        yield found


async def eventually(url: str, limit: float = 60) -> httpx.Response:
    deadline = time.monotonic() + limit
    async with httpx.AsyncClient() as client:
        while True:
            answer = await client.get(url)
            if answer.status_code == httpx.codes.OK or time.monotonic() > deadline:
                return answer


async def test_it_answers_at_the_edge_and_leaves_nothing_behind(place: State) -> None:
    async with mesh(place, FEW, options=postgres.FAST) as running:
        answer = await eventually(running.edge + KEYS)
        found = record.running(place)

    assert answer.json()["keys"]
    assert found is not None
    assert set(found.children) == {"postgres", "auth", "gateway", "envoy"}
    assert not any(entry.identity and entry.identity.find() for entry in found.children.values())
    assert record.read(place) is None


async def test_a_killed_service_and_a_killed_database_come_back(running: Mesh) -> None:
    assert running.database is not None
    pid = running.supervisor.pid("auth")
    assert pid is not None
    psutil.Process(running.database.server.pid).kill()
    psutil.Process(pid).kill()
    probe = f"grpcs://{running.address('auth')}/{topology.CONTRACTS['auth']}"
    deadline = time.monotonic() + 90
    while running.database.restarts == 0 or running.supervisor.restarts("auth") == 0:
        assert time.monotonic() < deadline
        await health.answers(running.edge + KEYS)
    while not await health.ready("auth", probe, running.tls["envoy"]):
        assert time.monotonic() < deadline

    assert (await eventually(running.edge + KEYS)).status_code == httpx.codes.OK


async def test_a_taken_port_starts_nothing(running: Mesh, tmp_path: Path) -> None:
    other = state.at(tmp_path / "other")
    with pytest.raises(PortTakenError, match=f"port {running.layout.port} for envoy is taken by envoy"):
        async with mesh(other, Layout(port=running.layout.port, services=FEW.services, only=FEW.only)):
            pass

    assert not other.postgres.exists()
