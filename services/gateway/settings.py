"""Every knob of the gateway."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from services.gateway.surface import FOREIGN
from services.mesh.settings import MeshSettings


class Settings(MeshSettings):
    """Read from `VOICEMESH_GATEWAY_…`."""

    model_config = SettingsConfigDict(env_prefix="VOICEMESH_GATEWAY_")

    listen: str = Field(default="127.0.0.1:8090", pattern=r"^.+:\d+$")
    """Where to serve gRPC over mTLS, `host:port`."""

    auth_address: str = Field(default="127.0.0.1:8081", pattern=r"^.+:\d+$")
    """Where the auth service is, `host:port`."""

    foreign: tuple[str, ...] = FOREIGN
    """Full names of methods, of contracts that are not ours, that anyone may call."""

    keys_refresh_seconds: float = Field(default=60, gt=0)
    """How often the keys that verify access tokens are fetched."""

    keys_refetch_seconds: float = Field(default=5, gt=0)
    """How long after a fetch an unknown key may cause another one."""

    keys_timeout_seconds: float = Field(default=0.5, gt=0)
    """How long a fetch may take; Envoy waits a second for a check."""

    leeway_seconds: float = Field(default=5, ge=0)
    """How far the clocks of auth and the gateway may be apart."""

    cached_tokens: int = Field(default=10_000, ge=1)
    """How many verified tokens are remembered."""
