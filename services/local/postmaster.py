"""The PostgreSQL server process: its data folder made, its start, and the way cleared after a crash."""

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

from services.local import leash
from services.local.cluster import Cluster
from services.local.errors import LocalError

SUPERUSER = "postgres"
START_LIMIT = 300.0
STOP_LIMIT = 60.0


def address(place: Cluster, database: str, role: str) -> str:
    """The address of a database, as a role."""
    return f"postgresql://{quote(role)}@/{quote(database)}?host={quote(str(place.socket), safe='')}"


def initialise(place: Cluster, programs: Path, *, durable: bool, log: Path) -> None:
    """Makes the data folder if there is none; a crash half-way leaves none."""
    if place.data.exists():
        theirs, ours = (place.data / "PG_VERSION").read_text().strip(), version(programs)
        if theirs != ours:
            raise LocalError(f"{place.data} was made by PostgreSQL {theirs}, this is {ours}: dump and restore it")
        return
    fresh = place.folder / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    place.own(fresh)
    command = [
        programs / "initdb",
        f"--pgdata={fresh}",
        f"--username={SUPERUSER}",
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--auth=peer", "--no-instructions"),
        *(() if durable else ("--no-sync",)),
    ]
    with log.open("ab") as output:
        run = subprocess.run(
            leash.command(command, signal=signal.SIGKILL, account=place.account),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=environment(),
            umask=0o077,
        )
    if run.returncode != 0:
        raise LocalError(f"PostgreSQL could not make its data folder; its reason is at the end of {log}")
    fresh.rename(place.data)


def launch(place: Cluster, programs: Path, settings: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Starts the server process and waits until it answers."""
    place.own(place.socket)
    place.access.write_text("local all all peer map=mesh\n")
    # Only the account that supervises connects: the services run as it, and nobody else gets to the socket.
    place.peers.write_text(f'mesh "{pwd.getpwuid(os.geteuid()).pw_name}" all\n')
    for file in (place.access, place.peers):
        file.chmod(0o644)
    fixed = {
        "listen_addresses": "",
        "unix_socket_directories": '"{}"'.format(str(place.socket).replace('"', '""')),
        "unix_socket_permissions": "0700",
        "hba_file": str(place.access),
        "ident_file": str(place.peers),
    }
    arguments = [part for name, value in {**settings, **fixed}.items() for part in ("-c", f"{name}={value}")]
    command = leash.command(
        [programs / "postgres", "-D", place.data, *arguments],
        signal=signal.SIGINT,
        account=place.account,
    )
    deadline = time.monotonic() + START_LIMIT
    while True:
        began = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=environment(),
                umask=0o077,
                start_new_session=True,
            )
        if answers(process, place, deadline):
            return process
        process.kill()
        process.wait()
        said = log.read_bytes()[began:].decode(errors="replace")
        # Sessions of a server that was killed need a moment to notice.
        if "is still in use" not in said or time.monotonic() > deadline:
            raise LocalError(
                f"PostgreSQL did not start: {said.strip().splitlines()[-1:] or 'no reason given'}; see {log}"
            )
        time.sleep(0.2)


def answers(process: subprocess.Popen[bytes], place: Cluster, deadline: float) -> bool:
    """Waits until the server takes connections; False if it ended or never did."""
    server = address(place, "postgres", SUPERUSER)
    while process.poll() is None and time.monotonic() < deadline:
        try:
            psycopg.connect(server, connect_timeout=5).close()
            return True
        except psycopg.OperationalError:
            time.sleep(0.05)
    return False


def clear(place: Cluster) -> None:
    """Makes way after a crash: ends a server that outlived its supervisor, forgets one that is gone."""
    note = place.data / "postmaster.pid"
    try:
        lines = note.read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        # The lock is ours, so nobody supervises it. The start time tells it from a later process of that number.
        if process.name() == "postgres" and abs(process.create_time() - int(lines[2])) < 60:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_LIMIT)
    except (FileNotFoundError, psutil.NoSuchProcess, ValueError, IndexError):
        pass
    note.unlink(missing_ok=True)


def version(programs: Path) -> str:
    """The major version of the programs."""
    command = [str(programs / "postgres"), "--version"]
    said: str = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/").stdout
    return said.split()[2].split(".")[0]


def environment() -> dict[str, str]:
    """What PostgreSQL's programs may know of ours: PG… variables of the person must not steer them."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
