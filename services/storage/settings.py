"""Every knob of the storage service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.mesh.settings import DatabaseUrl, Key, MeshSettings


class Settings(MeshSettings):
    """Read from `VOICEMESH_STORAGE_…`."""

    model_config = SettingsConfigDict(env_prefix="VOICEMESH_STORAGE_")

    database_url: DatabaseUrl
    """The service's own PostgreSQL database, `postgresql://…`."""

    root: str = Field(min_length=1)
    """Where the bytes are kept: a folder, or the URL of a bucket, `s3://bucket/prefix` (also `gs://`, `az://`), whose
    credentials and endpoint are read from the environment variables usual there (`AWS_…`)."""

    page_token_key: Key
    """Encrypts page tokens: 32 random bytes in URL-safe base64, the same in every replica."""

    largest_file_bytes: int = Field(default=100 * 1024 * 1024, ge=1)
    """The longest file that is taken in."""

    idle_seconds: float = Field(default=60.0, gt=0)
    """How long an upload may send nothing before it is given up."""

    spool: Path | None = None
    """Folder where an upload waits until it is complete; the system's folder for temporary files if unset."""

    probe_threads: int = Field(default=2, ge=1)
    """How many uploads are looked into at once, to tell what they are."""

    sweep_seconds: float = Field(default=300.0, gt=0)
    """How often bytes are removed that no file has any more."""
