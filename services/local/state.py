"""The state directory: everything that the local mesh keeps between runs, and who is using it now."""

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

import platformdirs

VARIABLE = "VOICEMESH_STATE"


@dataclass(frozen=True)
class State:
    """A state directory by its parts; others may walk through it (PostgreSQL's account must), its parts are private."""

    folder: Path

    @property
    def postgres(self) -> Path:
        """The embedded database."""
        return self.folder / "postgres"

    @property
    def certificates(self) -> Path:
        """The development CA and a folder per process."""
        return self.folder / "certificates"

    @property
    def logs(self) -> Path:
        """A file per process."""
        return self.folder / "logs"

    @property
    def envoy(self) -> Path:
        """Envoy's rendered configuration."""
        return self.folder / "envoy"

    @property
    def files(self) -> Path:
        """What users store."""
        return self.folder / "files"

    @property
    def secrets(self) -> Path:
        """A file per secret."""
        return self.folder / "secrets"

    @property
    def supervisor(self) -> Path:
        """Who runs this state: a record of the supervisor and its children."""
        return self.folder / "supervisor.pid"

    @property
    def checkpoint(self) -> Path:
        """Where the audit log's chains ended when they were last verified."""
        return self.folder / "audit.json"

    def parts(self) -> tuple[Path, ...]:
        """The folders in it, other than the database's."""
        return self.certificates, self.logs, self.envoy, self.files, self.secrets

    def secret(self, name: str) -> str:
        """The secret of that name: 32 random bytes in base64url, made at the first asking and kept."""
        path = self.secrets / name
        if not path.exists():
            value = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
            private(path, f"{value}\n".encode())
        return path.read_text().strip()


def default() -> Path:
    """Where the state is kept unless told otherwise."""
    return Path(os.environ.get(VARIABLE) or platformdirs.user_data_path("voicemesh"))


def at(folder: Path | None = None) -> State:
    """The state directory at `folder`, made if missing."""
    state = State((folder or default()).expanduser().resolve())
    state.folder.mkdir(parents=True, exist_ok=True)
    state.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    for part in state.parts():
        part.mkdir(exist_ok=True)
        part.chmod(0o700)
    return state


def private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Writes a file that nobody else may read; a reader sees the old content or the new, never a part."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
