"""What voices and speeches have in common as durable jobs: how they come along, and how they end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from services.mesh import errors


class State(StrEnum):
    """How far a job has come."""

    PENDING = "PENDING"
    PROCESSING = "PROCESSING"
    READY = "READY"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in (State.READY, State.FAILED, State.CANCELLED)


@dataclass(frozen=True)
class Failure:
    """Why a job failed."""

    reason: str
    message: str


@dataclass(frozen=True)
class Request:
    """What makes a creation repeatable (AIP-155)."""

    id: str
    """UUID that the caller chose, or empty."""
    digest: bytes
    """SHA-256 of everything else that was asked for."""


def reused() -> errors.InvalidArgument:
    """The refusal of a request id that was used with other content."""
    return errors.InvalidArgument.of("REQUEST_ID_REUSED", "request_id", "was used before with other content")


def not_cancellable(name: str, state: State) -> errors.FailedPrecondition:
    """The refusal to stop what has ended."""
    return errors.FailedPrecondition("NOT_CANCELLABLE", f"{name} is {state} and cannot be cancelled", state=state)


def not_retriable(name: str, state: State) -> errors.FailedPrecondition:
    """The refusal to do again what has not failed."""
    return errors.FailedPrecondition("NOT_RETRIABLE", f"{name} is {state}; only FAILED or CANCELLED", state=state)
