"""Field masks of updates (AIP-134, AIP-203), read from the contract's field_behavior."""

from __future__ import annotations

from typing import Any

from google.api import field_behavior_pb2
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from services.mesh import errors

FieldBehavior = field_behavior_pb2.FieldBehavior


def changes(resource: Message, mask: FieldMask) -> dict[str, Any]:
    """The new values of the fields to change, by name.

    Without a mask these are the fields that are set; with `*`, all that can be changed. Fields
    that only the platform writes are passed over in silence, as AIP-203 asks.

    Raises:
        InvalidArgument: the mask names a field that does not exist, or cannot change (BAD_UPDATE_MASK).
    """
    fields = resource.DESCRIPTOR.fields_by_name
    behaviors = {name: _behavior(field) for name, field in fields.items()}
    writable = [name for name, each in behaviors.items() if each & {FieldBehavior.OPTIONAL, FieldBehavior.REQUIRED}]
    mutable = [name for name in writable if FieldBehavior.IMMUTABLE not in behaviors[name]]
    if not mask.paths:
        set_now = {field.name for field, _ in resource.ListFields()}
        wanted = [name for name in mutable if name in set_now]
    elif list(mask.paths) == ["*"]:
        wanted = mutable
    else:
        for path in mask.paths:
            if path not in fields:
                raise _bad(f"there is no field {path!r}; it may name {', '.join(mutable)}, or be *")
            if path in writable and path not in mutable:
                raise _bad(f"{path} cannot be changed")
        wanted = [path for path in mask.paths if path in mutable]
    return {name: getattr(resource, name) for name in wanted}


def _behavior(field: Any) -> set[int]:
    return set(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def _bad(description: str) -> errors.InvalidArgument:
    return errors.InvalidArgument.of("BAD_UPDATE_MASK", "update_mask", description)
