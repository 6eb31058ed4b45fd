"""Every knob of the voice service and of its worker."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from services.mesh.settings import DatabaseUrl, Key, MeshSettings
from services.voice import consent_checks
from services.voice.engine import EngineError, registry
from services.voice.engine.registry import DEFAULT
from services.voice.refinements import Wish


class Settings(MeshSettings):
    """Read from `VOICEMESH_VOICE_…`, by the service and by the worker."""

    model_config = SettingsConfigDict(env_prefix="VOICEMESH_VOICE_")

    listen: str = Field(default="127.0.0.1:8082", pattern=r"^.+:\d+$")
    """Where to serve gRPC over mTLS, `host:port`; the worker serves nothing."""

    database_url: DatabaseUrl
    """The service's own PostgreSQL database, `postgresql://…`."""

    storage_address: str = Field(pattern=r"^.+:\d+$")
    """Where the storage service is, `host:port`."""

    page_token_key: Key
    """Encrypts page tokens: 32 random bytes in URL-safe base64, the same for all replicas."""

    provenance: Path | None = None
    """Folder with `tls.crt` (a certificate for signing and those above it), `tls.key` (Ed25519 or P-256) and `ca.crt`
    (the authority, which must sign for nobody else), with which what is spoken is signed and recognised; `provenance`
    in the folder `tls` if unset."""

    largest_verified_bytes: int = Field(default=64 * 1024 * 1024, ge=1)
    """How large a file may be that anybody sends to have it verified."""

    models: Path | None = None
    """Folder of the prepared models; the user's cache if unset. `voicemesh models` prepares them."""

    engine: str = DEFAULT
    """The engine that learns and speaks, by its name: `kokoro-v1`, `pocket-v1`, or one of another installed package."""

    engine_processes: int = Field(default=1, ge=1)
    """How many texts are spoken, or voices learned, at once; each process keeps the models in memory."""

    engine_threads: int = Field(default=2, ge=1)
    """Threads of each engine process."""

    engine_waiting: int = Field(default=8, ge=0)
    """How many calls may wait for an engine process before more are refused with RESOURCE_EXHAUSTED."""

    refinement: Wish = Wish.STANDARD
    """How deep a new voice is refined in the background where its creator does not say: NONE, STANDARD or HIGH. Only
    where speech recognition is installed, or all that is said is given."""

    refinement_processes: int = Field(default=1, ge=0)
    """How many voices a worker refines at once, each in a process with models of its own; 0 leaves it to others."""

    refinement_threads: int = Field(default=1, ge=1)
    """Threads of each process that refines."""

    refinement_niceness: int = Field(default=10, ge=0, le=19)
    """How far refining stands back from what else the machine does, as of nice(1)."""

    consent_check: str = consent_checks.OFF
    """What listens for a phrase that has to be spoken in a recording before a voice is learned: NONE, `spoken-phrase`
    (speech recognition, which has to be installed), or the check of another installed package."""

    consent_challenge_seconds: float = Field(default=900.0, gt=0)
    """How long a phrase that was given out to be spoken is good for."""

    keep_alive_seconds: float = Field(default=15.0, gt=0)
    """How often a watch shows that it is alive."""

    largest_recordings_bytes: int = Field(default=256 * 1024 * 1024, ge=1)
    """How large the recordings of one voice may be together; a worker holds them all in memory."""

    longest_conversion_seconds: float = Field(default=60.0, gt=0, le=600)
    """How long a recording may be that is converted; nothing is heard of it before all of it has been understood."""

    job_attempts: int = Field(default=5, ge=1)
    """How often a job is tried when what it depends on does not answer."""

    heartbeat_seconds: float = Field(default=5.0, gt=0)
    """How often a worker says that it is alive."""

    stalled_seconds: float = Field(default=20.0, gt=0)
    """After how long without a sign of life the jobs of a worker are given to another."""

    @property
    def signing(self) -> Path:
        """The folder of the certificate that signs."""
        return self.provenance or self.tls / "provenance"

    @field_validator("engine")
    @classmethod
    def _is_installed(cls, engine: str) -> str:
        try:
            registry.find(engine)
        except EngineError as error:
            raise ValueError(str(error)) from None
        return engine

    @field_validator("consent_check")
    @classmethod
    def _can_be_found(cls, check: str) -> str:
        if check != consent_checks.OFF:
            try:
                consent_checks.find(check)
            except consent_checks.CheckUnusable as error:
                raise ValueError(str(error)) from None
        return check

    @model_validator(mode="after")
    def _ends_before_it_is_given_up(self) -> Self:
        # While a worker ends the work under way, it gives no sign of life.
        if self.drain_seconds >= self.stalled_seconds:
            raise ValueError("drain_seconds must be less than stalled_seconds")
        return self
