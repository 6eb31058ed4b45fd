"""What callers see when a part dies, and that it comes back by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable

import httpx
import psutil

from services.local.mesh import Mesh
from tests.e2e.conftest import SAMPLE, Person

LIMIT = 60.0


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Waits until something holds; fails after a generous limit."""
    deadline = time.monotonic() + LIMIT
    while not await holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.2)


async def answers(person: Person, path: str) -> bool:
    """Whether the path answers 200."""
    try:
        return (await person.rest.get(path)).status_code == 200
    except httpx.HTTPError:
        return False


async def test_envoy_killed_comes_back_and_nothing_is_lost(running: Mesh, ada: Person) -> None:
    created = await ada.create(SAMPLE.read_bytes())
    killed = running.supervisor.pid("envoy")

    os.kill(killed, signal.SIGKILL)
    await eventually(lambda: answers(ada, "/v1/voices"))
    last = (await ada.watch(created["name"]))[-1]

    assert running.supervisor.pid("envoy") != killed
    assert last["voice"]["state"] == "READY"


async def test_a_dead_service_is_a_clear_error_and_comes_back(running: Mesh, ada: Person) -> None:
    pid = running.supervisor.pid("user")

    os.kill(pid, signal.SIGSTOP)
    try:
        refused = await ada.rest.get("/v1/users/me", timeout=90)
        others = await ada.rest.get("/v1/voices")
    finally:
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: answers(ada, "/v1/users/me"))

    assert refused.status_code in (503, 504)
    assert refused.json()["code"] in (14, 4)
    assert others.status_code == 200


async def test_without_the_gateway_nobody_gets_in(running: Mesh, ada: Person) -> None:
    pid = running.supervisor.pid("gateway")

    os.kill(pid, signal.SIGSTOP)
    try:
        refused = await ada.rest.get("/v1/voices", timeout=90)
    finally:
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: answers(ada, "/v1/voices"))

    assert refused.status_code == 503
    assert refused.json()["code"] == 14


async def test_the_engine_killed_in_mid_job_is_replaced_and_the_job_done(running: Mesh, ada: Person) -> None:
    created = await ada.create(SAMPLE.read_bytes())
    voice = (await ada.watch(created["name"]))[-1]["voice"]
    text = "This is a long story, and it goes on for quite a while. " * 5
    speech = (await ada.rest.post("/v1/speeches", json={"voice": voice["name"], "text": text})).json()

    async def begun() -> bool:
        now = (await ada.rest.get(f"/v1/{speech['name']}")).json()
        return bool(now["progress_percent"] > 0)

    await eventually(begun)
    engines = [
        child
        for child in psutil.Process(running.supervisor.pid("worker")).children()
        if "spawn_main" in " ".join(child.cmdline())
    ]
    for engine in engines:
        engine.kill()
    last = (await ada.watch(speech["name"]))[-1]["speech"]

    assert engines
    assert last["state"] == "READY", last
    assert int(last["characters"]) == len(text)


async def test_postgres_killed_comes_back_and_nothing_is_lost(running: Mesh, ada: Person) -> None:
    created = await ada.create(SAMPLE.read_bytes())
    killed = running.database.server.pid

    os.kill(killed, signal.SIGKILL)
    seen = []
    deadline = time.monotonic() + LIMIT
    while running.database.server.pid == killed or seen[-1] != 200:
        answer = await ada.rest.get(f"/v1/{created['name']}")
        seen.append(answer.status_code)
        assert answer.status_code == 200 or answer.json()["code"] in (14, 4), answer.text
        assert time.monotonic() < deadline, seen
        await asyncio.sleep(0.05)
    await eventually(lambda: answers(ada, "/v1/users/me"))
    last = (await ada.watch(created["name"]))[-1]["voice"]

    assert last["state"] == "READY", last
