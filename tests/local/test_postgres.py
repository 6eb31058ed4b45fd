"""The embedded PostgreSQL starts as root and as anyone else, survives being killed, and stays private."""

import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from services.local import binaries, cluster, leash, postgres
from services.local.accounts import Account
from services.local.errors import AlreadyRunningError, LocalError

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL to another account")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A state folder under one that nobody else may walk through."""
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    state = hidden / "postgres"
    yield state
    cluster.erase(state)


@pytest.fixture
def walkable() -> Iterator[Path]:
    """A folder that every account may walk through."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def interpreter(account: Account, path: str) -> str | None:
    """A Python that the account may run and that finds our packages; root's own is often in root's home."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        trial = leash.command([candidate, "-c", "import psycopg, filelock"], signal=9, account=account)
        if subprocess.run(trial, env={"PYTHONPATH": path}, cwd="/", capture_output=True).returncode == 0:
            return candidate
    return None


def test_each_service_has_a_database_of_its_own(place: Path) -> None:
    with postgres.running(place, options=postgres.FAST) as server:
        for name in postgres.DATABASES:
            with psycopg.connect(server.url(name)) as connection:
                who = connection.execute("SELECT current_user, current_database()").fetchone()

            assert who == (name, name)


def test_a_role_cannot_connect_to_anothers_database(place: Path) -> None:
    with (
        postgres.running(place, databases=("one", "two"), options=postgres.FAST) as server,
        pytest.raises(psycopg.OperationalError, match="permission denied"),
    ):
        psycopg.connect(server.url("one", role="two"))


def test_data_are_there_after_a_restart(place: Path) -> None:
    with (
        postgres.running(place, databases=("kept",), options=postgres.FAST) as server,
        psycopg.connect(server.url("kept")) as connection,
    ):
        connection.execute("CREATE TABLE numbers AS SELECT 7 AS number")
    with (
        postgres.running(place, databases=("kept",), options=postgres.FAST) as server,
        psycopg.connect(server.url("kept")) as connection,
    ):
        row = connection.execute("SELECT number FROM numbers").fetchone()

    assert row == (7,)


def test_it_is_durable_unless_told_otherwise(place: Path) -> None:
    with postgres.running(place, databases=()) as server, psycopg.connect(server.url("postgres")) as connection:
        settings = connection.execute("SELECT current_setting('fsync'), current_setting('synchronous_commit')")

        assert settings.fetchone() == ("on", "on")


def test_it_starts_again_after_being_killed(place: Path) -> None:
    server = postgres.start(place, databases=("kept",), options=postgres.FAST)
    psutil.Process(server.pid).kill()
    server.stop()
    assert (cluster.locate(place).data / "postmaster.pid").exists()

    with (
        postgres.running(place, databases=("kept",), options=postgres.FAST) as again,
        psycopg.connect(again.url("kept")) as connection,
    ):
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_stale_note_that_names_a_living_process_does_not_stop_it(place: Path) -> None:
    postgres.start(place, databases=(), options=postgres.FAST).stop()
    note = cluster.locate(place).data / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{note.parent}\n1\n5432\n\n\n")

    with postgres.running(place, databases=(), options=postgres.FAST) as server:
        assert server.alive()
    assert psutil.Process().is_running()


def test_an_interrupted_first_start_is_forgotten(place: Path) -> None:
    half = cluster.locate(place).folder / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")

    with postgres.running(place, databases=(), options=postgres.FAST) as server:
        assert server.alive()
    assert not half.exists()


def test_data_of_another_major_version_are_refused(place: Path) -> None:
    postgres.start(place, databases=(), options=postgres.FAST).stop()
    (cluster.locate(place).data / "PG_VERSION").write_text("9\n")

    with pytest.raises(LocalError, match="was made by PostgreSQL 9"):
        postgres.start(place, databases=(), options=postgres.FAST)


def test_a_folder_in_use_is_refused(place: Path) -> None:
    with postgres.running(place, databases=(), options=postgres.FAST), pytest.raises(AlreadyRunningError):
        postgres.start(place, databases=(), options=postgres.FAST)


def test_nobody_else_gets_to_the_data_or_the_socket(place: Path) -> None:
    with postgres.running(place, databases=(), options=postgres.FAST) as server:
        data = cluster.locate(place).data

        assert data.stat().st_mode & 0o777 == 0o700
        assert server.socket.stat().st_mode & 0o777 == 0o700


def test_a_long_path_gets_a_short_socket(tmp_path: Path) -> None:
    state = tmp_path / ("long" * 30) / "postgres"
    try:
        with postgres.running(state, databases=(), options=postgres.FAST) as server:
            assert len(os.fsencode(server.socket / cluster.SOCKET_NAME)) < 107
    finally:
        cluster.erase(state)


def test_it_dies_with_the_process_that_started_it(place: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from services.local import postgres\n"
        "server = postgres.start(Path(sys.argv[1]), databases=(), options=postgres.FAST)\n"
        "print(server.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", script, place], stdout=subprocess.PIPE, text=True, cwd=ROOT) as holder:
        assert holder.stdout is not None
        server = psutil.Process(int(holder.stdout.readline()))
        holder.kill()
        server.wait(60)

    assert not server.is_running()


@as_root
def test_root_lends_it_to_an_unprivileged_account(place: Path) -> None:
    with postgres.running(place, databases=(), options=postgres.FAST) as server:
        process = psutil.Process(server.pid)

        assert 0 not in process.uids()
        assert 0 not in process.gids()


@as_root
def test_root_keeps_data_in_a_reachable_state(walkable: Path) -> None:
    with postgres.running(walkable / "postgres", databases=(), options=postgres.FAST):
        assert (walkable / "postgres" / "data" / "PG_VERSION").exists()


@as_root
def test_an_ordinary_user_runs_it_in_place(walkable: Path) -> None:
    nobody = Account(65534, 65534)
    path = os.pathsep.join((str(ROOT), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    python = interpreter(nobody, path)
    if python is None:
        pytest.skip("no Python here that an ordinary user may run")
    os.chown(walkable, nobody.uid, nobody.gid)
    script = (
        "import sys, psycopg; from pathlib import Path; from services.local import postgres\n"
        "with postgres.running(Path(sys.argv[1]), databases=('mine',), options=postgres.FAST) as server:\n"
        "    with psycopg.connect(server.url('mine')) as c: print(c.execute('SELECT current_user').fetchone()[0])\n"
    )
    run = subprocess.run(
        leash.command([python, "-c", script, walkable / "postgres"], signal=9, account=nobody),
        cwd="/",
        env={"PATH": os.defpath, "HOME": str(walkable), "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )

    assert (run.returncode, run.stdout.strip()) == (0, "mine"), run.stderr
    assert (walkable / "postgres" / "data").stat().st_uid == nobody.uid


@as_root
def test_a_shared_folder_that_others_may_write_to_is_refused(walkable: Path) -> None:
    planted = walkable / "planted"
    planted.mkdir()
    planted.chmod(0o777)

    with pytest.raises(LocalError, match="others may write"):
        binaries.home(planted)


@as_root
def test_a_shared_folder_of_another_user_is_refused(walkable: Path) -> None:
    planted = walkable / "planted"
    planted.mkdir()
    os.chown(planted, 65534, 65534)

    with pytest.raises(LocalError, match="does not belong to root"):
        binaries.home(planted)


@as_root
def test_a_shared_folder_behind_a_planted_link_is_refused(walkable: Path, tmp_path: Path) -> None:
    link = walkable / "link"
    link.symlink_to(tmp_path)

    with pytest.raises(LocalError, match="is not a folder"):
        binaries.home(link)


@as_root
def test_a_damaged_copy_of_the_programs_is_replaced(walkable: Path) -> None:
    programs = binaries.programs(Account(65534, 65534), walkable / "home")
    (programs / "postgres").write_bytes(b"")
    (programs / "initdb").chmod(0o777)
    again = binaries.programs(Account(65534, 65534), walkable / "home")

    assert (again / "postgres").stat().st_size > 1_000_000
    assert (again / "initdb").stat().st_mode & 0o022 == 0


@as_root
def test_copies_made_at_once_do_not_meet(walkable: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from services.local import binaries\n"
        "from services.local.accounts import Account\n"
        "print(binaries.programs(Account(65534, 65534), Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", script, str(walkable / "home")]
    runs = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    answers = {run.communicate()[0] for run in runs}

    assert [run.returncode for run in runs] == [0] * 4
    assert len(answers) == 1
