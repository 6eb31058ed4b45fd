"""Events of the audit log, and the chain of hashes that they make.

The hash of an event is SHA-256 over the hash of the event before and the event's canonical form, as in the
certificate logs of RFC 9162 and in hash-linked timestamps (Haber and Stornetta 1991): whoever changes or
leaves out an event has to change every later one, and the end of the chain with them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

GENESIS = bytes(32)
"""The hash before the first event."""

_FORMAT = b"voicemesh audit event 1\n"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Kind(StrEnum):
    """What was done; see `AuditEvent.Kind` in the contract."""

    ACCOUNT_REGISTERED = "ACCOUNT_REGISTERED"
    SIGNED_IN = "SIGNED_IN"
    SIGN_IN_FAILED = "SIGN_IN_FAILED"
    SESSION_ENDED = "SESSION_ENDED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - the name of an event
    API_KEY_CREATED = "API_KEY_CREATED"
    API_KEY_REVOKED = "API_KEY_REVOKED"
    CONSENT_GIVEN = "CONSENT_GIVEN"
    CONSENT_REVOKED = "CONSENT_REVOKED"
    VOICE_CREATED = "VOICE_CREATED"
    VOICE_DELETED = "VOICE_DELETED"
    VOICE_SPOKE = "VOICE_SPOKE"
    SPEECH_CREATED = "SPEECH_CREATED"
    SPEECH_DELETED = "SPEECH_DELETED"
    FILE_UPLOADED = "FILE_UPLOADED"
    FILE_DELETED = "FILE_DELETED"


@dataclass(frozen=True)
class Event:
    """One event, at its place in the chain of its owner."""

    owner: str
    number: int
    """From 1 on."""
    id: str
    at: datetime
    """In UTC, to the microsecond."""
    kind: str
    """A `Kind`, or what a newer platform has written."""
    resource: str
    """What it was done to, a resource name; empty where the account is meant."""
    session: str
    api_key: str
    request_id: str
    address: str
    peer: str
    """Which process asked for it."""
    details: Mapping[str, str] = field(default_factory=dict)
    """Numbers, digests, resource names; never a secret, never a user's text."""
    previous: bytes = GENESIS

    def canonical(self) -> bytes:
        """All that the event says but `previous`, in one form only: JSON, keys sorted, no spaces, UTF-8; the time
        in microseconds since 1970."""
        said = {
            "owner": self.owner,
            "number": self.number,
            "id": self.id,
            "at": (self.at - _EPOCH) // timedelta(microseconds=1),
            "kind": self.kind,
            "resource": self.resource,
            "session": self.session,
            "api_key": self.api_key,
            "request_id": self.request_id,
            "address": self.address,
            "peer": self.peer,
            "details": dict(self.details),
        }
        return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def digest(self) -> bytes:
        """Its hash: 32 bytes."""
        return hashlib.sha256(_FORMAT + self.previous + self.canonical()).digest()


@dataclass(frozen=True)
class Entry:
    """An event as it stands in a database, with the hash that stands beside it."""

    event: Event
    hash: bytes


@dataclass(frozen=True)
class Chain:
    """Where the chain of a user begins and ends, as its database says."""

    owner: str
    length: int
    """The number of its last event."""
    head: bytes
    """The hash of its last event."""
    erased_length: int = 0
    """The number of the last event that was erased when an account was deleted; 0 if none was."""
    erased_head: bytes = GENESIS
    """The hash of that event."""
