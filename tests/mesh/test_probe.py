"""The probe's exit code is the state of the process."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from voicemesh.user.v1 import user_pb2_grpc

from services.mesh import errors, probe
from services.mesh.server import Application, Servicer, serving
from services.mesh.settings import MeshSettings

CONTRACT = "voicemesh.user.v1.UserService"


@asynccontextmanager
async def service(certificates: dict[str, Path], port: int, *, ready: bool) -> AsyncIterator[str]:
    """A service whose database answers or not; gives the address of its health-only port."""

    async def ping() -> None:
        if not ready:
            raise errors.Unavailable("DATABASE_UNAVAILABLE", "it is away")

    servicer = user_pb2_grpc.UserServiceServicer()
    application = Application(
        [Servicer(CONTRACT, lambda server: user_pb2_grpc.add_UserServiceServicer_to_server(servicer, server))],
        pings={"database": ping},
    )
    address = f"127.0.0.1:{port}"
    settings = MeshSettings(listen="127.0.0.1:0", tls=certificates["user"], health_listen=address, drain_seconds=0)
    async with serving(application, settings):
        yield address


@pytest.mark.parametrize(
    ("ready", "words", "code"),
    [(True, [], 0), (True, [CONTRACT], 0), (False, [], 0), (False, [CONTRACT], 1), (True, ["voicemesh.Nobody"], 1)],
)
async def test_the_exit_code_says_how_it_is(certificates, free_port, ready: bool, words: list[str], code: int) -> None:
    async with service(certificates, free_port(), ready=ready) as address:
        found = await asyncio.to_thread(probe.main, address, *words)

    assert found == code


def test_a_process_that_does_not_answer_is_not_well(free_port, capsys: pytest.CaptureFixture[str]) -> None:
    address = f"127.0.0.1:{free_port()}"

    assert probe.main(address) == 1
    assert capsys.readouterr().err == f"{address}: UNAVAILABLE\n"


async def test_it_runs_as_a_program(certificates, free_port) -> None:
    async with service(certificates, free_port(), ready=False) as address:
        program = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.mesh.probe", address, CONTRACT, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await program.communicate()

    assert (program.returncode, said.decode()) == (1, f"{address}: NOT_SERVING\n")
