"""A mesh in the foreground is seen, stopped and survived from other processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from services.local import foreground, overview, record, state
from services.local.errors import AlreadyRunningError
from services.local.state import State
from tests.local import tiny

Start = Callable[[], "subprocess.Popen[str]"]


@pytest.fixture
def place(tmp_path: Path) -> State:
    return state.at(tmp_path / "state")


@pytest.fixture
def start(place: State, tmp_path: Path) -> Iterator[Start]:
    """Starts a mesh of two small processes in a process of its own, and waits until it listens."""
    started: list[subprocess.Popen[str]] = []
    (tmp_path / "notes").touch()

    def run() -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, tiny.__file__, "supervise", place.folder, tmp_path / "notes"],
            env={**os.environ, "PYTHONPATH": f"{tiny.ROOT}{os.pathsep}{tiny.ROOT / 'gen'}"},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        heard = []
        for line in process.stdout:
            heard.append(line)
            if "listens" in line:
                return process
        raise AssertionError("".join(heard))

    yield run
    for process in started:
        process.kill()
        process.communicate()


def children(place: State) -> list[psutil.Process]:
    found = record.read(place)
    assert found is not None
    entries = [entry.identity for entry in found.children.values()]
    return [process for identity in entries if identity and (process := identity.find())]


def test_children_die_with_a_supervisor_that_is_killed(place: State, start: Start) -> None:
    process = start()
    left = children(place)
    process.kill()
    _, alive = psutil.wait_procs(left, timeout=60)

    assert len(left) == 2
    assert not alive
    assert record.running(place) is None


def test_a_killed_mesh_starts_again(place: State, start: Start) -> None:
    start().kill()
    again = start()

    found = record.running(place)
    assert found is not None
    assert found.supervisor.pid == again.pid


def test_it_stops_from_another_process_and_leaves_nothing(place: State, start: Start) -> None:
    process = start()
    left = children(place)
    pid = foreground.stop(place)

    assert pid == process.pid
    assert process.wait(60) == 0
    assert not any(child.is_running() for child in left)
    assert not place.supervisor.exists()


def test_stopping_what_does_not_run_says_so(place: State) -> None:
    assert foreground.stop(place) is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_it_cleanly(place: State, start: Start, tmp_path: Path, number: signal.Signals) -> None:
    process = start()
    deadline = time.monotonic() + 60
    while (tmp_path / "notes").read_text().count("runs") < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)

    assert process.wait(60) == 0
    assert (tmp_path / "notes").read_text().count("stopped") == 2


def test_a_second_one_is_refused_and_told_the_pid(place: State, start: Start) -> None:
    process = start()

    with pytest.raises(AlreadyRunningError, match=f"pid {process.pid}"), record.hold(place):
        pass


async def test_the_overview_shows_every_process(place: State, start: Start) -> None:
    process = start()
    rows = await overview.look(place)

    assert rows is not None
    assert [(row.process, row.health, row.restarts) for row in rows] == [
        ("supervisor", "ready", 0),
        ("one", "ready", 0),
        ("two", "ready", 0),
    ]
    assert rows[0].pid == process.pid


async def test_the_overview_of_nothing_is_none(place: State) -> None:
    assert await overview.look(place) is None
