"""The databases of a mesh on this machine, whether it runs or not."""

import contextlib
from collections.abc import Iterator, Mapping

from services.local import cluster, postgres, postmaster, record
from services.local.errors import LocalError
from services.local.state import State
from services.local.topology import WITH_DATABASE


@contextlib.contextmanager
def opened(state: State, environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The address of each service's database, by service, for as long as the block runs.

    Those that the environment gives (`VOICEMESH_<SERVICE>_DATABASE_URL`) are taken from there; the others are
    the embedded PostgreSQL's, which is started for the block unless the mesh runs.

    Raises:
        LocalError: there is no embedded database here, or it cannot be started.
    """
    given = {name: environment.get(f"VOICEMESH_{name.upper()}_DATABASE_URL", "") for name in WITH_DATABASE}
    found = {name: url for name, url in given.items() if url}
    missing = [name for name in WITH_DATABASE if name not in found]
    with contextlib.ExitStack() as stack:
        if missing and record.running(state) is None:
            _must_exist(state)
            stack.enter_context(record.hold(state))
            log = state.logs / "postgres.log"
            stack.enter_context(postgres.running(state.postgres, databases=(), log=log))
        if missing:
            place = cluster.locate(state.postgres)
            found |= {name: _address(place, f"voicemesh_{name}") for name in missing}
        yield {name: found[name] for name in WITH_DATABASE}


def _must_exist(state: State) -> None:
    if not (state.postgres / "data").exists() and not (state.postgres / "location").exists():
        raise LocalError(f"there is no database in {state.folder}")


def _address(place: cluster.Cluster, database: str) -> str:
    return postmaster.address(place, database, database)
