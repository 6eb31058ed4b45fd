"""A process is known by its id and its start time together."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from services.local import record, state
from services.local.record import Entry, Identity, Record
from services.local.state import State

MINE = Identity.of(os.getpid())


@pytest.fixture
def place(tmp_path: Path) -> State:
    return state.at(tmp_path)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process:
        yield process
        process.kill()


def test_a_later_process_of_the_same_number_is_another() -> None:
    assert MINE.find() is not None
    assert Identity(MINE.pid, MINE.started - 100).find() is None


def test_a_record_is_read_as_it_was_written(place: State) -> None:
    written = Record(MINE, {"one": Entry(MINE, "grpcs://a/b", "a", 2), "two": Entry(None)})
    record.write(place, written)

    assert record.read(place) == written


def test_a_damaged_record_counts_as_none(place: State) -> None:
    place.supervisor.write_text('{"supervisor": ')

    assert record.read(place) is None


def test_what_a_dead_supervisor_left_is_ended(place: State, sleeper: "subprocess.Popen[bytes]") -> None:
    gone = Identity(MINE.pid, MINE.started - 100)
    record.write(place, Record(gone, {"one": Entry(Identity.of(sleeper.pid))}))
    with record.hold(place):
        pass

    assert not psutil.pid_exists(sleeper.pid)


def test_a_stranger_with_a_number_from_the_record_is_left_alone(
    place: State, sleeper: "subprocess.Popen[bytes]"
) -> None:
    stranger = Identity(sleeper.pid, Identity.of(sleeper.pid).started - 100)
    record.write(place, Record(Identity(MINE.pid, MINE.started - 100), {"one": Entry(stranger)}))
    with record.hold(place):
        pass

    assert sleeper.poll() is None
