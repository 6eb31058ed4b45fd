"""The settings that every service has. Each service adds its own in its `settings.py`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TypeVar

import psycopg
from cryptography.fernet import Fernet
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


class MeshSettings(BaseSettings):
    """Read once from the environment, in `__main__`, with the prefix `VOICEMESH_<SERVICE>_`."""

    model_config = SettingsConfigDict(frozen=True, use_attribute_docstrings=True, extra="ignore")

    listen: str = Field(pattern=r"^.+:\d+$")
    """Where to serve gRPC over mTLS, `host:port`."""

    tls: Path
    """Folder with `tls.crt`, `tls.key` and `ca.crt` of this process (the names of a Kubernetes TLS secret)."""

    health_listen: str = Field(default="", pattern=r"^(.+:\d+)?$")
    """Where to serve `grpc.health.v1.Health` alone, without TLS, `host:port`; off if empty. For Kubernetes' probes."""

    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """From which level on to log."""

    unary_seconds: float = Field(default=30.0, gt=0)
    """The longest that a call that streams nothing may take, whatever its caller would wait."""

    drain_seconds: float = Field(default=10.0, ge=0)
    """How long calls under way may go on after SIGTERM."""


def _database_url(url: SecretStr) -> SecretStr:
    try:
        conninfo_to_dict(url.get_secret_value())
    except psycopg.ProgrammingError:
        raise ValueError("is no address of a database, postgresql://…") from None
    return url


def _key(key: SecretStr) -> SecretStr:
    try:
        Fernet(key.get_secret_value())
    except ValueError:
        raise ValueError("must be 32 bytes in URL-safe base64") from None
    return key


DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
"""The address of a PostgreSQL database; holds a password, so it is never shown."""
Key = Annotated[SecretStr, AfterValidator(_key)]
"""32 random bytes in URL-safe base64; never shown."""

S = TypeVar("S", bound="MeshSettings")


def read(settings: type[S]) -> S:
    """The settings from the environment; on a bad or missing one, says which and exits with status 2."""
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config.get("env_prefix", "")
        for each in error.errors():
            name = prefix + "_".join(str(part) for part in each["loc"]).upper()
            print(f"{name}: {each['msg']}", file=sys.stderr)
        raise SystemExit(2) from None
