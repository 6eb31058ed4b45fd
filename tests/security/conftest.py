"""A whole mesh as `make up` runs it, somebody who owns things, somebody who is after them, and the count of holes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc.aio
import httpx
import pytest

from services.local import edge, postgres, state, topology
from services.local.cluster import erase
from services.local.mesh import Mesh, mesh
from services.local.topology import Layout
from services.voice.engine import assets
from tests.issuer import Issuer
from tests.security import credentials, shots, tokens
from tests.security.asking import SHOWN
from tests.security.people import SAMPLE, Person, registered, settled

CAP = 8 * 1024 * 1024
ENVIRONMENT = {
    "VOICEMESH_STORAGE_LARGEST_FILE_BYTES": str(CAP),
    "VOICEMESH_AUTH_BCRYPT_COST": "4",
    # Longer than the tests at full length take.
    "VOICEMESH_AUTH_ACCESS_SECONDS": "7200",
    "VOICEMESH_GATEWAY_USER_RATE": "",
    "VOICEMESH_GATEWAY_USER_COSTLY_RATE": "",
    "VOICEMESH_VOICE_REFINEMENT": "NONE",
    "VOICEMESH_VOICE_DRAIN_SECONDS": "1",
}
"""What makes the mesh quick, its limits small, and its rates large."""


@pytest.fixture(scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    if shots.WHOLE:
        assets.prepare()
        engine = {}
    else:
        engine = quick_engine(tmp_path_factory.mktemp("engine"))
    layout = replace(
        Layout(),
        port=0,
        services=dict.fromkeys(topology.OFFSETS, 0),
        manners=edge.Manners(rate_per_second=100_000, rate_burst=100_000, sign_ins_per_minute=1000),
        environment=dict(os.environ) | ENVIRONMENT | engine,
    )
    kept = state.at(tmp_path_factory.mktemp("security"))
    try:
        async with mesh(kept, layout, options=postgres.FAST) as it:
            yield it
    finally:
        erase(kept.postgres)


def quick_engine(folder: Path) -> dict[str, str]:
    """The environment in which the tests' small engine is one that is installed, and the one that speaks."""
    installed = folder / "tone-1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: tone\nVersion: 1\n")
    (installed / "entry_points.txt").write_text("[voicemesh.engines]\ntone = tests.voice.engine.tone:load\n")
    places = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(places), "VOICEMESH_VOICE_ENGINE": "tone"}


@pytest.fixture(scope="session")
async def rest(running: Mesh) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=running.edge, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="session")
async def channel(running: Mesh) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(running.edge.removeprefix("http://")) as it:
        yield it


@pytest.fixture(scope="session")
def issuer(running: Mesh) -> Issuer:
    """Signs as the mesh's auth service does."""
    return tokens.of_mesh(running)


@pytest.fixture(scope="session")
async def ada(rest: httpx.AsyncClient, channel: grpc.aio.Channel) -> Person:
    """Owns one of everything."""
    return await settled(await registered(rest, channel), SAMPLE.read_bytes())


@pytest.fixture(scope="session")
async def eve(rest: httpx.AsyncClient, channel: grpc.aio.Channel) -> Person:
    """Owns one of everything too, and wants Ada's."""
    return await settled(await registered(rest, channel), SAMPLE.read_bytes())


@pytest.fixture(scope="module")
async def otto(rest: httpx.AsyncClient, channel: grpc.aio.Channel) -> Person:
    """Minds his own business."""
    return await settled(await registered(rest, channel), SAMPLE.read_bytes())


@pytest.fixture(scope="module")
async def ended(ada: Person) -> dict[str, Person]:
    """People whose sessions have ended, by how."""
    return await credentials.all_ended(ada)


@pytest.fixture(scope="module")
def keys(ada: Person) -> credentials.Keys:
    """Ada's API keys."""
    return credentials.Keys(ada)


@pytest.fixture(scope="session")
async def before(ada: Person) -> dict[str, object]:
    """What Ada has, before anybody is after it."""
    routes = {route for method in SHOWN.exposed for route in method.rule.routes}
    readable = [template for template in ada.names if ("GET", f"/v1/{{name={template}}}") in routes]
    return {template: await ada.get(template) for template in readable}


def pytest_configure(config: pytest.Config) -> None:
    if shots.WHOLE:
        config.pluginmanager.register(Count(), "holes")


class Count:
    """Says at the very end how much was tried, and how many holes were found."""

    def __init__(self) -> None:
        self.cases = 0
        self.holes = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.holes += 1
        if report.when == "call" and "matrix" in report.keywords:
            self.cases += 1

    def pytest_unconfigure(self) -> None:
        print(f"{self.cases} matrix cases, {shots.fired} fuzzed requests, {self.holes} holes")
