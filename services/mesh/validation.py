"""The rules that stand in the contracts (buf.validate), applied to every message that comes in."""

from __future__ import annotations

import protovalidate
from google.protobuf.message import Message
from protovalidate._gen.buf.validate import validate_pb

from services.mesh import errors


def check(message: Message) -> None:
    """Lets a message pass that keeps its contract's rules.

    Raises:
        InvalidArgument: with a violation for each broken rule (INVALID_FIELDS).
    """
    broken = protovalidate.collect_violations(message)
    if not broken:
        return
    violations = [errors.Violation(_field(each.proto), each.proto.message) for each in broken]
    message_text = "; ".join(f"{each.field}: {each.description}" for each in violations)
    raise errors.InvalidArgument("INVALID_FIELDS", message_text, violations=violations)


def _field(violation: validate_pb.Violation) -> str:
    """The path of the field. A rule on a message that is about one of its fields is named after that field."""
    path = "".join(
        f".{element.field_name}" + (f"[{element.subscript.value}]" if element.subscript else "")
        for element in (violation.field.elements if violation.field else ())
    ).removeprefix(".")
    return violation.rule_id if violation.rule_id.startswith(f"{path}.") else path
