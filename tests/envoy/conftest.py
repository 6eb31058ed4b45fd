"""The edge, shared by the tests of a module; and ports."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.envoy.edge import Edge, Ports, running


@pytest.fixture(scope="session")
def port() -> Ports:
    """Finds a port that nobody holds, never the same one twice."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                found: int = probe.getsockname()[1]
            if found not in given:
                given.add(found)
                return found

    return find


@pytest.fixture(scope="module")
async def edge(
    certificates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, port: Ports
) -> AsyncIterator[Edge]:
    """An edge with everything behind it."""
    async with running(certificates, tmp_path_factory.mktemp("envoy"), port) as edge:
        yield edge
