"""A service's audit log, as it reads it to the user service."""

from __future__ import annotations

from voicemesh.audit.v1 import audit_pb2

from services.mesh import names
from services.mesh.audit import store
from services.mesh.audit.events import Entry
from services.mesh.postgres import Database
from services.mesh.times import timestamp


class AuditLog:
    """Reads the log of one service, `auth` for instance."""

    def __init__(self, service: str, database: Database) -> None:
        self._service = service
        self._database = database

    async def read(self, owner: str, request: audit_pb2.ReadAuditLogRequest) -> audit_pb2.ReadAuditLogResponse:
        """Events of a user, newest first."""
        async with self._database.connection() as connection:
            found = await store.latest(connection, owner, request.before, request.limit)
        return audit_pb2.ReadAuditLogResponse(events=[to_proto(entry, self._service) for entry in found])


def to_proto(entry: Entry, service: str) -> audit_pb2.AuditEvent:
    """An event as its user sees it."""
    event = entry.event
    kinds = audit_pb2.AuditEvent.Kind
    return audit_pb2.AuditEvent(
        name=f"{names.join('users', event.owner)}/auditEvents/{event.id}",
        kind=kinds.Value(event.kind) if event.kind in kinds.DESCRIPTOR.values_by_name else kinds.KIND_UNSPECIFIED,
        event_time=timestamp(event.at),
        resource=event.resource,
        session=event.session,
        api_key=event.api_key,
        request_id=event.request_id,
        address=event.address,
        peer=event.peer,
        details=event.details,
        service=service,
        number=event.number,
        previous_hash=event.previous.hex(),
        hash=entry.hash.hex(),
    )
