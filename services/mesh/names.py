"""Resource names (AIP-122), `voices/{voice}`, and the ids in them: UUID version 7 (RFC 9562)."""

from __future__ import annotations

from uuid import UUID

import uuid_utils

from services.mesh import errors


def new_id() -> str:
    """A new UUIDv7: unique everywhere, and later ones sort after earlier ones."""
    return str(uuid_utils.uuid7())


def join(collection: str, id: str | UUID) -> str:
    """`voices/0197…`."""
    return f"{collection}/{id}"


def id_of(name: str, collection: str, reason: str) -> str:
    """The id in a resource name.

    Raises:
        NotFound: (with `reason`) the name cannot be one of this collection: nothing has such a name.
    """
    prefix, _, id = name.partition("/")
    try:
        if prefix == collection:
            return str(UUID(id))
    except ValueError:
        pass
    raise errors.NotFound(reason, f"there is no {name}", name=name)
