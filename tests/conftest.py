"""What every test may ask for: a real PostgreSQL, a database of its own, certificates, free ports."""

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from services.local import certificates as authority
from services.local import postgres as embedded
from services.local import provenance
from services.local.cluster import erase


@pytest.fixture(scope="session")
def postgres() -> Iterator[embedded.Postgres]:
    """A server for this run of the tests: quick, and forgotten afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="voicemesh-tests-"))
    if os.geteuid() == 0:
        folder.chmod(0o711)
    state = folder / "postgres"
    try:
        with embedded.running(state, databases=(), options=embedded.FAST) as server:
            yield server
    finally:
        erase(state)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def new_database(postgres: embedded.Postgres) -> Callable[[], str]:
    """Makes a fresh database at each call and returns its address."""
    numbers = count(1)
    return lambda: postgres.create(f"test_{next(numbers)}")


@pytest.fixture(scope="module")
def database(new_database: Callable[[], str]) -> str:
    """A fresh database for each test module: its address."""
    return new_database()


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The certificate folder of each process of the mesh, all of one CA."""
    folder = tmp_path_factory.mktemp("certificates")
    provenance.ensure(folder)
    return authority.ensure(folder)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Finds a port that nobody holds; two calls never name the same one within a test."""
    given: set[int] = set()

    def find() -> int:
        while True:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            if port not in given:
                given.add(port)
                return port

    return find
