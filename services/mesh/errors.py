"""What a domain may refuse to do, in words that do not depend on gRPC.

A domain raises one of these; `services.mesh.status` alone translates them. Programs branch on
`reason`, which is stable and documented in the contract of the method (AIP-193); `message` is
for people and may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One thing wrong with a request: the path of the field, as in `voice.consent`, and what is wrong."""

    field: str
    description: str


class MeshError(Exception):
    """Something was refused, for a reason that the caller can act on."""

    def __init__(
        self,
        reason: str,
        message: str,
        *,
        violations: Sequence[Violation] = (),
        retry_after: float | None = None,
        **metadata: str,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after
        """Seconds after which trying again makes sense, or None."""
        self.metadata = metadata


class InvalidArgument(MeshError):
    """The request is wrong whatever the state of the system."""

    @classmethod
    def of(cls, reason: str, field: str, description: str) -> InvalidArgument:
        """The refusal of one field."""
        return cls(reason, f"{field}: {description}", violations=[Violation(field, description)])


class Unauthenticated(MeshError):
    """The caller did not prove who they are."""


class PermissionDenied(MeshError):
    """The caller is known and may not do this."""


class NotFound(MeshError):
    """No such thing, or not the caller's: the two look the same from outside."""


class AlreadyExists(MeshError):
    """What was to be made is there already."""


class FailedPrecondition(MeshError):
    """The thing is not in a state that allows this."""


class Aborted(MeshError):
    """Somebody else came first; read again and retry."""


class ResourceExhausted(MeshError):
    """A limit was reached."""


class Unavailable(MeshError):
    """Something this depends on does not answer; trying again may help."""


class DeadlineExceeded(MeshError):
    """It took longer than the caller wanted to wait."""
