"""The whole mesh, as `make up` runs it, on free ports; and two people who use it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest
from httpx_sse import aconnect_sse

from services.local import state, topology
from services.local.cluster import erase
from services.local.mesh import Mesh, mesh
from services.local.topology import Layout
from services.voice.engine import assets

SAMPLE = Path(__file__).parents[2] / "examples" / "sample" / "robin.flac"
CAP = 8 * 1024 * 1024
CONSENT = {"statement": "I agree that this voice is learned.", "given_by": "Robin"}


@dataclass(frozen=True)
class Person:
    """Somebody signed in: by REST, and by native gRPC on the same port."""

    rest: httpx.AsyncClient
    channel: grpc.aio.Channel
    session: dict[str, Any]

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """The credential, for gRPC."""
        return (("authorization", f"Bearer {self.session['access_token']}"),)

    async def upload(self, content: bytes, name: str = "robin.flac") -> httpx.Response:
        """Uploads a form."""
        return await self.rest.post("/v1/files", files={"file": (name, content)})

    async def create(self, content: bytes) -> dict[str, Any]:
        """Starts learning a voice from a recording."""
        file = (await self.upload(content)).json()["name"]
        created = await self.rest.post(
            "/v1/voices", json={"display_name": "Robin", "recordings": [file], "consent": CONSENT}
        )
        assert created.status_code == 200, created.text
        voice: dict[str, Any] = created.json()
        return voice

    async def watch(self, name: str, **query: str) -> list[dict[str, Any]]:
        """All events of a watch."""
        timeout = httpx.Timeout(60, read=120)
        async with aconnect_sse(self.rest, "GET", f"/v1/{name}:watch", params=query, timeout=timeout) as events:
            assert events.response.status_code == 200
            return [json.loads(event.data) async for event in events.aiter_sse()]


@pytest.fixture(scope="session")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mesh]:
    assets.prepare()
    environment = dict(os.environ) | {
        "VOICEMESH_STORAGE_LARGEST_FILE_BYTES": str(CAP),
        "VOICEMESH_AUTH_BCRYPT_COST": "4",
        "VOICEMESH_VOICE_HEARTBEAT_SECONDS": "1",
        "VOICEMESH_VOICE_STALLED_SECONDS": "4",
        "VOICEMESH_VOICE_DRAIN_SECONDS": "1",
        "VOICEMESH_VOICE_REFINEMENT": "NONE",
    }
    layout = replace(Layout(), port=0, services=dict.fromkeys(topology.OFFSETS, 0), environment=environment)
    kept = state.at(tmp_path_factory.mktemp("mesh"))
    try:
        async with mesh(kept, layout) as it:
            yield it
    finally:
        erase(kept.postgres)


@asynccontextmanager
async def signed_in(running: Mesh) -> AsyncIterator[Person]:
    """Somebody with a new account."""
    async with (
        httpx.AsyncClient(base_url=running.edge, timeout=60, trust_env=False) as rest,
        grpc.aio.insecure_channel(running.edge.removeprefix("http://")) as channel,
    ):
        account = {"email": f"{secrets.token_hex(8)}@example.org", "password": secrets.token_urlsafe(12)}
        assert (await rest.post("/v1/auth:register", json=account)).status_code == 200
        session = (await rest.post("/v1/auth:login", json=account)).json()
        rest.headers["authorization"] = f"Bearer {session['access_token']}"
        yield Person(rest, channel, session)


@pytest.fixture
async def ada(running: Mesh) -> AsyncIterator[Person]:
    async with signed_in(running) as person:
        yield person


@pytest.fixture
async def eve(running: Mesh) -> AsyncIterator[Person]:
    async with signed_in(running) as person:
        yield person


@pytest.fixture(scope="module")
async def robin(running: Mesh) -> AsyncIterator[tuple[Person, str]]:
    """Somebody with a voice that is READY, and its name."""
    async with signed_in(running) as person:
        voice = await person.create(SAMPLE.read_bytes())
        last = (await person.watch(voice["name"]))[-1]["voice"]
        assert last["state"] == "READY", last
        yield person, voice["name"]
