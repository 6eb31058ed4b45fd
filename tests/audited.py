"""What a service has written into the audit log of a user, as the user service reads it."""

from __future__ import annotations

from typing import Any

from voicemesh.audit.v1 import audit_pb2

from services.mesh.identity import ADDRESS, REQUEST_ID
from tests.peers import Metadata

AT_HOME: Metadata = ((ADDRESS, "203.0.113.7"), (REQUEST_ID, "request-7"))
"""The metadata of a request that came from there."""


async def audited(stub: Any, who: Metadata) -> list[audit_pb2.AuditEvent]:
    """All events of a user in one service, oldest first; `stub` calls it as the user service."""
    answer = await stub.ReadAuditLog(audit_pb2.ReadAuditLogRequest(limit=200), metadata=who)
    return list(reversed(answer.events))


def kinds(events: list[audit_pb2.AuditEvent]) -> list[str]:
    """What they are, by name."""
    return [audit_pb2.AuditEvent.Kind.Name(event.kind) for event in events]
