"""A request that keeps its contract, made from the descriptors alone, for any method there is or will be.

Fields that name a resource get the name of a real one; what the contract demands besides is filled in until
protovalidate has nothing to say.
"""

from __future__ import annotations

import re
import secrets
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module

import protovalidate
from buf.validate import validate_pb2
from google.api import annotations_pb2, field_behavior_pb2
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from services.gateway import surface

SHOWN = surface.read()
for module in SHOWN.modules:
    import_module(module)  # So that the pool has what it describes.

Names = Mapping[str, str]
"""A resource name for each template: `{"voices/*": "voices/0197…"}`."""

_VARIABLE = re.compile(r"\{([\w.]+)=([^}]*)\}")
_ANY = re.compile(r"\[\^(?:[^\]\\]|\\.)*\](?:\{[^}]*\}|\+|\*)")
_TEMPLATE = re.compile(r"[a-z][A-Za-z]*/\*(/[a-zA-Z]+(/\*)?)*")
_NEVER = {field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER}
WORDS = ("some words", "long enough 1", "en", "a", "1", "2030-01-01", "files/1", "0" * 64)


def descriptor(method: surface.Method) -> MethodDescriptor:
    """What the pool knows of a method."""
    service = descriptor_pool.Default().FindServiceByName(method.contract)
    return service.methods_by_name[method.path.rpartition("/")[2]]


def empty(method: surface.Method) -> Message:
    """A request of the method with nothing in it."""
    return message_factory.GetMessageClass(descriptor(method).input_type)()


def bound(template: str) -> dict[str, str]:
    """The fields in a path and the resource each names: `{"voice.name": "voices/*"}`."""
    return dict(_VARIABLE.findall(template))


def named(field: FieldDescriptor) -> str:
    """The template of the resource that a field names, by the pattern in its contract; empty if it names none."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    pattern = rules.repeated.items.string.pattern if field.is_repeated else rules.string.pattern
    found = _ANY.sub("*", pattern).strip("^$").removesuffix(")?").removeprefix("(")
    return found if _TEMPLATE.fullmatch(found) else ""


def templates() -> dict[str, set[str]]:
    """Every template of a resource that some request names, and the methods that do."""
    found: dict[str, set[str]] = {}
    for method in SHOWN.exposed:
        for template in targets(method).values():
            found.setdefault(template, set()).add(method.path)
    return found


def targets(method: surface.Method) -> dict[str, str]:
    """The fields of a request that name a resource, and the template of each."""
    found = {}
    for _, path in method.rule.routes:
        found.update(bound(path))
    updates = any(verb == "PATCH" for verb, _ in method.rule.routes)
    never = _NEVER | ({field_behavior_pb2.IMMUTABLE} if updates else set())
    found.update(_below(empty(method).DESCRIPTOR.fields, never, "", 4))
    return found


def _below(fields: Iterable[FieldDescriptor], never: set[int], prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for field in fields:
        if _behaviour(field) & never or not depth:
            continue
        if field.message_type and not field.is_repeated:
            yield from _below(field.message_type.fields, never, f"{prefix}{field.name}.", depth - 1)
        elif field.type == FieldDescriptor.TYPE_STRING and (template := named(field)):
            yield prefix + field.name, template


def request(method: surface.Method, names: Names) -> Message:
    """A request of the method that its contract has nothing against, about the resources in `names`.

    Raises:
        KeyError: there is no name for a resource that the method is about.
        ValueError: nothing that is tried here satisfies the contract.
    """
    made = empty(method)
    for path, template in targets(method).items():
        put(made, path, names[template])
    _fill_required(made, 4)
    for _ in range(20):
        broken = protovalidate.collect_violations(made)
        if not broken:
            return made
        _repair(made, broken[0].proto)
    raise ValueError(f"{method.path}: {[each.proto.message for each in broken]}; teach tests/security/asking.py")


def put(message: Message, path: str, value: object) -> None:
    """Sets the field at a path such as `voice.name`; a repeated one gets one element."""
    *parents, last = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    field = message.DESCRIPTOR.fields_by_name[last]
    if field.is_repeated:
        message.ClearField(last)
        getattr(message, last).append(value)
    elif field.message_type:
        getattr(message, last).CopyFrom(value)
    else:
        setattr(message, last, value)


def _behaviour(field: FieldDescriptor) -> set[int]:
    return set(field.GetOptions().Extensions[field_behavior_pb2.field_behavior])


def _fill_required(message: Message, depth: int) -> None:
    for field in message.DESCRIPTOR.fields:
        if field_behavior_pb2.REQUIRED in _behaviour(field):
            if field.message_type and not field.is_repeated and depth:
                child = getattr(message, field.name)
                child.SetInParent()
                _fill_required(child, depth - 1)
            elif not getattr(message, field.name):
                _try(message, field)


def _repair(made: Message, violation: object) -> None:
    """Gives the field that is complained of another value, or the first of those of which one is needed."""
    elements = violation.field.elements if violation.field else ()
    parent, field = made, None
    for element in elements:
        if field is not None:
            parent = getattr(parent, field.name)
        field = parent.DESCRIPTOR.fields_by_name[element.field_name]
    if violation.rule_id == "message.oneof":
        parent = getattr(parent, field.name) if field is not None else parent
        rules = parent.DESCRIPTOR.GetOptions().Extensions[validate_pb2.message].oneof
        field = parent.DESCRIPTOR.fields_by_name[rules[0].fields[0]]
    elif field is not None and field.message_type and "." in violation.rule_id:
        parent = getattr(parent, field.name)  # A rule named after the field it is about.
        field = parent.DESCRIPTOR.fields_by_name[violation.rule_id.rpartition(".")[2]]
    if field is not None:
        _try(parent, field)


def _try(message: Message, field: FieldDescriptor) -> None:
    """The first value for a field that its own rules have nothing against."""
    for value in _candidates(field):
        put(message, field.name, value)
        complaints = [
            each.proto
            for each in protovalidate.collect_violations(message)
            if each.proto.field and each.proto.field.elements and each.proto.field.elements[0].field_name == field.name
        ]
        if not complaints:
            return


def _candidates(field: FieldDescriptor) -> Iterator[object]:
    if field.message_type:
        made = message_factory.GetMessageClass(field.message_type)()
        if field.message_type.full_name == "google.protobuf.Timestamp":
            made.FromSeconds(int(time.time()) + 3600)
        elif field.message_type.full_name == "google.protobuf.Duration":
            made.FromSeconds(60)
        _fill_required(made, 3)
        yield made
    elif field.enum_type:
        yield from (value.number for value in field.enum_type.values if value.number)
    elif field.type == FieldDescriptor.TYPE_STRING:
        rules = field.GetOptions().Extensions[validate_pb2.field].string
        if rules.email:
            yield f"{secrets.token_hex(8)}@example.org"
        yield str(uuid.uuid4()) if rules.uuid else "a" * max(8, rules.min_len)
        yield from (*getattr(rules, "in"), *WORDS, *_scopes(), secrets.token_hex(16), str(uuid.uuid4()))
    elif field.type == FieldDescriptor.TYPE_BYTES:
        yield from (b"a", b"a" * 32)
    elif field.type == FieldDescriptor.TYPE_BOOL:
        yield True
    else:
        yield from (1, 0, 10, 100)


def _scopes() -> list[str]:
    return sorted({scope for method in SHOWN.exposed for scope in method.rule.scopes})


def body(method: surface.Method, verb: str, path: str) -> str:
    """Which part of a request is the body over REST: `*`, a field, or nothing."""
    http = descriptor(method).GetOptions().Extensions[annotations_pb2.http]
    for binding in (http, *http.additional_bindings):
        if getattr(binding, verb.lower()) == path:
            return str(binding.body)
    raise LookupError(path)
