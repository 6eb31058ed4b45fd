"""Every knob of the gateway."""

from __future__ import annotations

from typing import Annotated

from limits import parse
from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.gateway.surface import FOREIGN
from services.mesh.settings import MeshSettings


def _rate(text: str) -> str:
    try:
        return text and str(parse(text) and text)
    except ValueError:
        raise ValueError("is no rate, such as 1200/minute or 10 per 2 seconds") from None


def _store(address: SecretStr) -> SecretStr:
    if not address.get_secret_value().startswith(("redis://", "rediss://")):
        raise ValueError("is neither redis://… nor rediss://…")
    return address


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

    limits_store: Annotated[SecretStr, AfterValidator(_store)] | None = None
    """A Redis or Valkey in which several gateways count calls together, `redis://…` or `rediss://…`. If unset, or while
    it does not answer, each counts by itself."""

    user_rate: Annotated[str, AfterValidator(_rate)] = "1200/minute"
    """How many calls a user may make; no limit if empty."""

    user_costly_rate: Annotated[str, AfterValidator(_rate)] = "120/minute"
    """How many of them may make the engine work (`budget` COSTLY in the contracts); no limit if empty."""

    key_rate: Annotated[str, AfterValidator(_rate)] = "600/minute"
    """How many calls may be made with one API key, once there are such; no limit if empty."""

    key_costly_rate: Annotated[str, AfterValidator(_rate)] = "60/minute"
    """How many of them may make the engine work; no limit if empty."""
