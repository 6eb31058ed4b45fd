"""The supervisor keeps real processes running, knows when they are ready, and stops them in order."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from services.local import record, state
from services.local.child import Process
from services.local.errors import LocalError
from services.local.state import State
from services.local.supervisor import Supervisor
from tests.local import tiny

NOWHERE = "http://127.0.0.1:1/"


@pytest.fixture
def place(tmp_path: Path) -> State:
    return state.at(tmp_path / "state")


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    path = tmp_path / "notes"
    path.touch()
    return path


@asynccontextmanager
async def supervising(place: State, *processes: Process, tls: Path | None = None) -> AsyncIterator[Supervisor]:
    supervisor = Supervisor(place, processes, tls=tls or place.certificates, report=print)
    supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()


def lines(notes: Path) -> list[str]:
    return notes.read_text().splitlines()


async def until(condition: Callable[[], object], limit: float = 60.0) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.02)


async def test_a_process_that_dies_is_started_again(place: State, notes: Path) -> None:
    async with supervising(place, tiny.process("one", place, "sleeper", str(notes), "one")) as supervisor:
        await until(lambda: "one runs" in notes.read_text())
        first = supervisor.pid("one")
        assert first is not None
        psutil.Process(first).kill()
        await until(lambda: notes.read_text().count("one runs") == 2)

        assert supervisor.restarts("one") == 1
        assert supervisor.pid("one") not in (None, first)


async def test_processes_stop_stage_by_stage(place: State, notes: Path) -> None:
    processes = [
        tiny.process(name, place, "sleeper", str(notes), name, stage=stage)
        for name, stage in (("last", 2), ("first", 0), ("middle", 1))
    ]
    async with supervising(place, *processes):
        await until(lambda: notes.read_text().count("runs") == 3)

    stops = [line for line in lines(notes) if line.endswith("stopped")]
    assert stops == ["first stopped", "middle stopped", "last stopped"]


async def test_a_farewell_comes_before_the_end(place: State, notes: Path) -> None:
    async def farewell() -> None:
        tiny.note(str(notes), "farewell")

    process = tiny.process("one", place, "sleeper", str(notes), "one", farewell=farewell)
    async with supervising(place, process):
        await until(lambda: "one runs" in notes.read_text())

    assert lines(notes)[1:] == ["farewell", "one stopped"]


async def test_a_process_that_does_not_stop_is_killed(place: State) -> None:
    process = tiny.process("deaf", place, "stubborn", patience=0.2)
    async with supervising(place, process) as supervisor:
        await until(lambda: process.log.exists() and "deaf" in process.log.read_text())
        pid = supervisor.pid("deaf")
        assert pid is not None

    assert not psutil.pid_exists(pid)


async def test_stopping_while_starting_leaves_nothing(place: State, notes: Path) -> None:
    async with supervising(place, tiny.process("one", place, "sleeper", str(notes), "one")) as supervisor:
        pass

    assert supervisor.pid("one") is None
    assert "one stopped" not in lines(notes)


async def test_what_a_dead_process_left_behind_is_ended(place: State, notes: Path) -> None:
    async with supervising(place, tiny.process("parent", place, "parent", str(notes))) as supervisor:
        await until(lambda: supervisor.restarts("parent") >= 1)
        orphan = int(lines(notes)[0])

        await until(lambda: not psutil.pid_exists(orphan) or psutil.Process(orphan).status() == psutil.STATUS_ZOMBIE)


async def test_a_process_that_cannot_start_is_given_up_with_its_own_words(place: State) -> None:
    process = tiny.process("broken", place, "broken", probe=NOWHERE)
    async with supervising(place, process) as supervisor:
        with pytest.raises(LocalError, match=r"(?s)broken ends whenever it is started.*the reason why"):
            await supervisor.ready()


async def test_a_program_that_is_not_there_is_given_up_with_a_reason(place: State) -> None:
    process = tiny.process("absent", place, command=("/nowhere/to/be/found",), probe=NOWHERE)
    async with supervising(place, process) as supervisor:
        with pytest.raises(LocalError, match="cannot run /nowhere/to/be/found"):
            await supervisor.ready()


async def test_a_service_is_ready_when_it_says_so_over_mtls(
    place: State, tmp_path: Path, certificates: dict[str, Path], free_port: Callable[[], int]
) -> None:
    address, gate = f"127.0.0.1:{free_port()}", tmp_path / "gate"
    process = tiny.process(
        "voice", place, "service", address, str(certificates["voice"]), str(gate),
        probe=f"grpcs://{address}/{tiny.CONTRACT}",
    )  # fmt: skip
    async with supervising(place, process, tls=certificates["envoy"]) as supervisor:
        with pytest.raises(LocalError, match="voice is not getting ready"):
            await supervisor.ready(limit=3)
    async with supervising(place, process, tls=certificates["envoy"]) as supervisor:
        gate.touch()
        await supervisor.ready()


async def test_a_service_with_the_certificate_of_another_is_never_ready(
    place: State, tmp_path: Path, certificates: dict[str, Path], free_port: Callable[[], int]
) -> None:
    address, gate = f"127.0.0.1:{free_port()}", tmp_path / "gate"
    gate.touch()
    process = tiny.process(
        "voice", place, "service", address, str(certificates["auth"]), str(gate),
        probe=f"grpcs://{address}/{tiny.CONTRACT}",
    )  # fmt: skip
    async with supervising(place, process, tls=certificates["envoy"]) as supervisor:
        with pytest.raises(LocalError, match="voice is not getting ready"):
            await supervisor.ready(limit=5)


async def test_the_record_names_the_processes(place: State, notes: Path) -> None:
    process = tiny.process("one", place, "sleeper", str(notes), "one", address="127.0.0.1:1")
    async with supervising(place, process) as supervisor:
        await supervisor.ready()
        found = record.running(place)

        assert found is not None
        entry = found.children["one"]
        assert entry.identity is not None
        assert (entry.identity.pid, entry.address, entry.restarts) == (supervisor.pid("one"), "127.0.0.1:1", 0)
