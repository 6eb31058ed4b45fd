"""The rules that stand in the contracts (buf.validate), applied to every message that comes in."""

from __future__ import annotations

import protovalidate
from buf.validate import validate_pb2
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
    violations = [errors.Violation(_field(message, each.proto), each.proto.message) for each in broken]
    message_text = "; ".join(f"{each.field}: {each.description}" for each in violations)
    raise errors.InvalidArgument("INVALID_FIELDS", message_text, violations=violations)


def _field(message: Message, violation: validate_pb.Violation) -> str:
    """The path of the field. A rule on a message that is about one of its fields is named after that field, and one
    that allows one field of several after the first of them."""
    path, part = "", message
    for element in violation.field.elements if violation.field else ():
        path += f".{element.field_name}" + (f"[{element.subscript.value}]" if element.subscript else "")
        part = getattr(part, element.field_name)
        if element.subscript:
            part = part[element.subscript.value]
    path = path.removeprefix(".")
    if violation.rule_id == "message.oneof":
        return f"{path}.{_first_choice(part)}".removeprefix(".")
    return violation.rule_id if violation.rule_id.startswith(f"{path}.") else path


def _first_choice(part: Message) -> str:
    """The first field of the `oneof` rule that the message breaks."""
    rules = part.DESCRIPTOR.GetOptions().Extensions[validate_pb2.message].oneof
    set_fields = {field.name for field, _ in part.ListFields()}
    broken = (rule for rule in rules if len(set_fields.intersection(rule.fields)) != 1)
    return next(iter(next(broken).fields))
