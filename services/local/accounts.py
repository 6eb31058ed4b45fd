"""Which system account runs PostgreSQL: it refuses to run as root, so root lends it another."""

import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from services.local.errors import LocalError

CANDIDATES = ("voicemesh", "postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A system account by numbers."""

    uid: int
    gid: int


def unprivileged(data: Path) -> Account | None:
    """The account for the server of `data`: None where this process is not root and simply runs it itself."""
    if os.geteuid() != 0:
        return None
    if data.exists():
        # The choice was made when the data were; a `postgres` account installed since must not change it.
        owner = data.stat()
        return Account(owner.st_uid, owner.st_gid)
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise LocalError(
        f"PostgreSQL cannot run as root and none of the accounts {', '.join(CANDIDATES)} exists: "
        "run as an ordinary user, or set VOICEMESH_<SERVICE>_DATABASE_URL to servers of your own"
    )


def reachable(folder: Path) -> bool:
    """Whether any account may walk to `folder`: one ancestor of mode 0700 is enough to keep it out."""
    return all(ancestor.stat().st_mode & 0o001 for ancestor in folder.resolve().parents)
