"""Every knob of the user service."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.mesh.settings import DatabaseUrl, Key, MeshSettings


class Settings(MeshSettings):
    """Read from `VOICEMESH_USER_…`."""

    model_config = SettingsConfigDict(env_prefix="VOICEMESH_USER_")

    database_url: DatabaseUrl
    """The service's own PostgreSQL database, `postgresql://…`."""

    page_token_key: Key
    """Encrypts page tokens: 32 random bytes in URL-safe base64, the same in every replica."""

    auth_address: str = Field(pattern=r"^.+:\d+$")
    """Where the auth service is, `host:port`."""

    voice_address: str = Field(pattern=r"^.+:\d+$")
    """Where the voice service is, `host:port`."""

    storage_address: str = Field(pattern=r"^.+:\d+$")
    """Where the storage service is, `host:port`."""
