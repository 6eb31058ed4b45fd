"""Prepares the mesh of docker-compose.yml: its secrets, and its databases.

    python prepare.py secrets FOLDER             FOLDER/<process>/secrets/<name>, made once and kept
    python prepare.py databases FOLDER SOCKET    a role and a database for each service; FOLDER as for postgres

Each folder is a volume that only its process sees. Both may be repeated.
"""

import sys
from pathlib import Path

import psycopg
from psycopg import sql

from services.local.state import State, private
from services.local.topology import OFFSETS, SECRETS, WITH_DATABASE

HOST = "postgres:5432"
# Whatever the server's own locale is: all of Unicode, sorted by code point.
CREATE = "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C.UTF-8'"


def database(service: str) -> str:
    """The name of the service's database and of its role."""
    return f"voicemesh_{service}"


def made(folder: Path) -> State:
    """The folder of one process, with room for its secrets."""
    state = State(folder)
    state.secrets.mkdir(mode=0o700, exist_ok=True)
    return state


def secrets(folder: Path) -> None:
    """What each process alone may know; the worker knows what voice knows, since it works in its database."""
    postgres = made(folder / "postgres")
    postgres.secret("superuser")
    for service in OFFSETS:
        prefix = f"VOICEMESH_{service.upper()}_"
        own = made(folder / service)
        known = {name: own.secret(name) for name in SECRETS if name.startswith(prefix)}
        if service in WITH_DATABASE:
            name = database(service)
            known[f"{prefix}DATABASE_URL"] = f"postgresql://{name}:{postgres.secret(name)}@{HOST}/{name}"
        for process in (service, "worker") if service == "voice" else (service,):
            place = made(folder / process)
            for name, value in known.items():
                private(place.secrets / name, f"{value}\n".encode())


def databases(folder: Path, socket: str) -> None:
    """Lets each service into its own database and no other; as PostgreSQL's superuser, through its socket."""
    passwords = State(folder)
    with psycopg.connect(host=socket, user="postgres", dbname="postgres", autocommit=True) as connection:
        for service in WITH_DATABASE:
            name = database(service)
            role, password = sql.Identifier(name), sql.Literal(passwords.secret(name))
            if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).rowcount == 0:
                connection.execute(sql.SQL("CREATE ROLE {}").format(role))
            connection.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(role, password))
            if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).rowcount == 0:
                connection.execute(sql.SQL(CREATE).format(role, role))
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(role))
            print(f"{name}: ready")


if __name__ == "__main__":
    step, place, *rest = sys.argv[1:]
    {"secrets": secrets, "databases": databases}[step](Path(place), *rest)
