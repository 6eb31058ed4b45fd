"""Every knob of the auth service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.mesh.settings import DatabaseUrl, Key, MeshSettings


class Settings(MeshSettings):
    """Read from `VOICEMESH_AUTH_…`."""

    model_config = SettingsConfigDict(env_prefix="VOICEMESH_AUTH_")

    database_url: DatabaseUrl
    """The service's own PostgreSQL database, `postgresql://…`."""

    key_encryption_key: Key
    """Encrypts the signing keys in the database: 32 random bytes in URL-safe base64."""

    bcrypt_cost: int = Field(default=12, ge=4, le=16)
    """Each step doubles the work that a password costs to check, and to guess."""

    bcrypt_threads: int = Field(default=2, ge=1)
    """How many passwords are checked at once."""

    bcrypt_waiting: int = Field(default=16, ge=1)
    """How many passwords may be in hand at once, before more are refused with RESOURCE_EXHAUSTED."""

    access_seconds: int = Field(default=900, ge=1)
    """How long an access token is good for."""

    refresh_days: int = Field(default=30, ge=1)
    """How long a refresh token is good for if it is not used."""
