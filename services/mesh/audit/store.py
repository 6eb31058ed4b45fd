"""All SQL of the audit log, over the database of whichever service keeps it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from services.mesh import names
from services.mesh.audit.events import GENESIS, Chain, Entry, Event, Kind
from services.mesh.identity import Caller, caller
from services.mesh.postgres import Connection

_COLUMNS = (
    "owner::text AS owner, number, id::text AS id, at, kind, resource, session, api_key, request_id, address, peer,"
    " details, previous, hash"
)
_LARGEST_ID = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_AT_ONCE = 1000


async def record(connection: Connection, kind: Kind, owner: str, resource: str = "", **details: str) -> None:
    """Adds an event to the chain of `owner`, in the transaction that does what it tells of; who asked for it is
    the caller.

    The end of the chain stays locked until the transaction ends, so this comes last in it.
    """
    who = _asking()
    cursor = await connection.execute(
        "INSERT INTO audit_chains AS c (owner, length, head) VALUES (%s, 1, %s)"
        " ON CONFLICT (owner) DO UPDATE SET length = c.length + 1 RETURNING length, head",
        [owner, GENESIS],
    )
    number, head = await cursor.fetchone() or (0, b"")
    event = Event(
        owner=owner,
        number=number,
        id=names.new_id(),
        at=datetime.now(UTC),
        kind=kind,
        resource=resource,
        session=who.session,
        api_key=who.api_key,
        request_id=who.request_id,
        address=who.address,
        peer=who.peer,
        details=details,
        previous=bytes(head),
    )
    await connection.execute(
        "WITH added AS (INSERT INTO audit_events (owner, number, id, at, kind, resource, session, api_key,"
        " request_id, address, peer, details, previous, hash)"
        " VALUES (%(owner)s, %(number)s, %(id)s, %(at)s, %(kind)s, %(resource)s, %(session)s, %(api_key)s,"
        " %(request_id)s, %(address)s, %(peer)s, %(details)s, %(previous)s, %(hash)s) RETURNING owner, hash)"
        " UPDATE audit_chains c SET head = added.hash FROM added WHERE c.owner = added.owner",
        {**vars(event), "details": Jsonb(details), "hash": event.digest()},
    )


async def erase(connection: Connection, owner: str) -> None:
    """Takes the events of a user away, for the deletion of the account; that there were some, and how many, stays."""
    await connection.execute("SELECT set_config('voicemesh.erasing', %s, true)", [owner])
    await connection.execute("SELECT FROM audit_chains WHERE owner = %s FOR UPDATE", [owner])
    await connection.execute("DELETE FROM audit_events WHERE owner = %s", [owner])
    await connection.execute(
        "UPDATE audit_chains SET erased_length = length, erased_head = head, erased_at = now() WHERE owner = %s",
        [owner],
    )
    await connection.execute("SELECT set_config('voicemesh.erasing', '', true)")


async def latest(connection: Connection, owner: str, before: str, limit: int) -> Sequence[Entry]:
    """Up to `limit` events of a user, newest first: those before the event with the id `before`, if it is given."""
    cursor = connection.cursor(row_factory=dict_row)
    await cursor.execute(
        f"SELECT {_COLUMNS} FROM audit_events WHERE owner = %s AND id < %s ORDER BY id DESC LIMIT %s",
        [owner, before or _LARGEST_ID, limit],
    )
    return [_entry(row) for row in await cursor.fetchall()]


async def entries(connection: Connection) -> AsyncIterator[Entry]:
    """All events of all users, chain by chain, from the first on."""
    async with connection.cursor("audit", row_factory=dict_row) as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(f"SELECT {_COLUMNS} FROM audit_events ORDER BY owner, number")
        async for row in cursor:
            yield _entry(row)


async def chains(connection: Connection) -> dict[str, Chain]:
    """Where all chains end, by owner."""
    cursor = await connection.execute(
        "SELECT owner::text, length, head, erased_length, erased_head FROM audit_chains ORDER BY owner"
    )
    return {row[0]: Chain(*row) for row in await cursor.fetchall()}


async def frozen(connection: Connection) -> None:
    """Makes a transaction that has just begun see the database as it is now, to its end, and change nothing."""
    await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _entry(row: Mapping[str, Any]) -> Entry:
    said = {**row, "at": row["at"].astimezone(UTC), "previous": bytes(row["previous"])}
    hash = bytes(said.pop("hash"))
    return Entry(Event(**said), hash)


def _asking() -> Caller:
    try:
        return caller()
    except LookupError:
        return Caller()  # What the platform does by itself.
