"""The folders of one embedded PostgreSQL: where its data, its socket and its two access files lie.

Data lie in the state directory. Only where root runs the mesh from a folder that the server's account
cannot reach do they lie under root's shared folder, and the state directory remembers where.
"""

import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from services.local import binaries
from services.local.accounts import Account, reachable, unprivileged
from services.local.errors import LocalError

SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_LIMIT = 103
"""What macOS allows in a socket's path; Linux allows 107."""


@dataclass(frozen=True)
class Cluster:
    """Where one server keeps its things, and which account it runs as (None: this one)."""

    folder: Path
    account: Account | None
    socket: Path

    @property
    def data(self) -> Path:
        """The data folder, of the server's account and mode 0700."""
        return self.folder / "data"

    @property
    def access(self) -> Path:
        """Who may connect (pg_hba.conf): not in the data, so that root never writes where the server may."""
        return self.folder / "pg_hba.conf"

    @property
    def peers(self) -> Path:
        """Which system account may be which role (pg_ident.conf)."""
        return self.folder / "pg_ident.conf"

    def own(self, folder: Path) -> None:
        """Makes `folder` private to the server's account."""
        folder.mkdir(mode=0o700, exist_ok=True)
        if self.account is not None:
            os.chown(folder, self.account.uid, self.account.gid)
        folder.chmod(0o700)


def locate(state: Path, home: Path | None = None) -> Cluster:
    """The cluster of a state's `postgres` folder: where it is, or where a new one belongs."""
    state.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        state.chmod(0o700)
        return Cluster(state, None, socket_folder(state))
    state.chmod(0o711)
    pointer = state / "location"
    if pointer.exists():
        folder = Path(pointer.read_text().strip())
        if (doubt := binaries.distrust(folder.parent)) is not None:
            raise LocalError(f"the database of {state} cannot be trusted: {doubt}")
    elif reachable(state / "data"):
        folder = state
    elif (state / "data").exists():
        raise LocalError(f"PostgreSQL's account cannot reach {state / 'data'}: let others walk there (chmod o+x)")
    else:
        folder = binaries.home(home) / "clusters" / secrets.token_hex(8)
        folder.parent.mkdir(mode=0o711, exist_ok=True)
        # Written first: a crash leaves a name without data, never data without a name.
        pointer.write_text(f"{folder}\n")
    folder.mkdir(mode=0o711, exist_ok=True)
    return Cluster(folder, unprivileged(folder / "data"), socket_folder(folder, home))


def socket_folder(folder: Path, home: Path | None = None) -> Path:
    """A folder for the socket, beside the data where the path is short enough for a socket's address."""
    beside = folder / "socket"
    if len(os.fsencode(beside / SOCKET_NAME)) <= SOCKET_LIMIT:
        return beside
    name = sha256(os.fsencode(folder.resolve())).hexdigest()[:12]
    if os.geteuid() == 0:
        base = binaries.home(home) / "sockets"
        base.mkdir(mode=0o711, exist_ok=True)
        return base / name
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"voicemesh-{os.geteuid()}"
    base.mkdir(mode=0o700, exist_ok=True)
    status = base.lstat()
    if base.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise LocalError(f"{base} is not a private folder of this user: remove it, or set XDG_RUNTIME_DIR")
    return base / name


def erase(state: Path) -> None:
    """Deletes a stopped cluster with all its data, wherever it lies."""
    pointer = state / "location"
    if pointer.exists():
        folder = Path(pointer.read_text().strip())
        shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(state, ignore_errors=True)
