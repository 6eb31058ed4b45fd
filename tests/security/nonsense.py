"""Requests that nobody would make: good ones with something wrong in them, and some with nothing right.

Strategies of Hypothesis, so that what breaks something comes back as small as it can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.api import httpbody_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from services.gateway import surface
from tests.security import asking, calls

NOBODY = "0197f0f0-0000-7000-8000-000000000000"
NASTY = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "..",
    "../../../../etc/passwd",
    "%00",
    "%s%s%s%n",
    "' OR '1'='1' --",
    "\u202e",
    "\ufeff",
    "\ufffe",
    "\U0010ffff",
    "é" * 300,
    "a" * 300,
    "a" * 10_000,
    "[[[[[[[[",
    "<speak>",
    "<speak><break time='99999999999999s'/></speak>",
    '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><speak>&b;</speak>',
    "-1",
    "1e309",
    "NaN",
    "true",
    "null",
    "*",
    "@type",
]
NUMBERS = [0, 1, -1, 7, 127, 255, 2**31 - 1, -(2**31), 2**31, 2**32 - 1, 2**32, 2**63 - 1, -(2**63), 2**64 - 1]
RANGES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}

texts = st.text(max_size=40) | st.sampled_from(NASTY)


def names(template: str, people: Sequence[Mapping[str, str]]) -> st.SearchStrategy[str]:
    """A name that fits a template: one person's, or nobody's; rarely the last person's, for whom work is done."""
    *others, own = [person[template] for person in people if template in person] or [NOBODY]
    nobodys = template.replace("*", NOBODY)
    rare = st.integers(0, 15).flatmap(lambda chance: st.just(own) if chance == 0 else st.just(nobodys))
    return st.one_of(rare, st.sampled_from([*others, nobodys]), texts.map(lambda text: template.replace("*", text)))


def value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    """Any one value that a field can carry."""
    if field.message_type:
        return message(field.message_type, depth - 1)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return st.booleans()
    if field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        return st.sampled_from([*(each.number for each in field.enum_type.values), -1, 99, 2**31 - 1])
    if field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        return st.floats(width=32)
    if field.cpp_type in RANGES:
        low, high = RANGES[field.cpp_type]
        return st.sampled_from([each for each in NUMBERS if low <= each <= high]) | st.integers(low, high)
    return st.binary(max_size=200) if field.type == FieldDescriptor.TYPE_BYTES else texts


@st.composite
def message(draw: st.DrawFn, descriptor: Descriptor, depth: int) -> Message:
    """A message with some of its fields set to anything."""
    made: Message = asking.message_factory.GetMessageClass(descriptor)()
    fields = [field for field in descriptor.fields if depth > 0 or not field.message_type]
    if fields:
        for field in draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda each: each.name)):
            spoil(draw, made, field, depth)
    return made


def spoil(draw: st.DrawFn, parent: Message, field: FieldDescriptor, depth: int = 2) -> None:
    """Sets a field to anything, or to nothing."""
    parent.ClearField(field.name)
    if draw(st.integers(0, 5)) == 0:
        return
    if field.message_type and field.message_type.GetOptions().map_entry:
        return
    if field.is_repeated:
        getattr(parent, field.name).extend(draw(st.lists(value(field, depth), max_size=12)))
    elif field.message_type:
        getattr(parent, field.name).CopyFrom(draw(value(field, depth)))
    else:
        setattr(parent, field.name, draw(value(field, depth)))


@st.composite
def request(draw: st.DrawFn, method: surface.Method, people: Sequence[Mapping[str, str]]) -> Message:
    """A request of a method: a good one with up to three fields spoiled; or anything."""
    if draw(st.integers(0, 4)) == 0:
        return draw(message(asking.empty(method).DESCRIPTOR, 3))
    chosen = {template: draw(names(template, people)) for template in sorted(set(asking.targets(method).values()))}
    good = {template: template.replace("*", NOBODY) for template in chosen}
    made = asking.request(method, good)
    for path, template in asking.targets(method).items():
        asking.put(made, path, chosen[template])
    for _ in range(draw(st.integers(0, 3))):
        parent = made
        while True:
            fields = list(parent.DESCRIPTOR.fields)
            if not fields:
                break
            field = draw(st.sampled_from(fields))
            if not field.message_type or field.is_repeated or draw(st.booleans()):
                spoil(draw, parent, field)
                break
            parent = getattr(parent, field.name)
    return made


@st.composite
def torn(draw: st.DrawFn, method: surface.Method, people: Sequence[Mapping[str, str]]) -> bytes:
    """A request as bytes, of which some are others."""
    data = bytearray(draw(request(method, people)).SerializeToString())
    for _ in range(draw(st.integers(1, 4)) if draw(st.integers(0, 3)) == 0 else 0):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)


@st.composite
def body(draw: st.DrawFn, method: surface.Method, part: str, made: Message) -> dict[str, Any]:
    """The body of a REST request as httpx takes it: JSON with something wrong in it, or none, or bytes."""
    if not part:
        return {"content": draw(st.binary(max_size=20))} if draw(st.integers(0, 9)) == 0 else {}
    inner = made if part == "*" else getattr(made, part)
    if isinstance(inner, httpbody_pb2.HttpBody):
        kind = draw(
            st.sampled_from(["audio/wav", "multipart/form-data", "multipart/form-data; boundary=a", "", "\x7f"])
        )
        content = draw(st.binary(max_size=300) | st.just(b"--a\r\nContent-Disposition: form-data\r\n\r\nx\r\n--a--"))
        return {"content": content, "headers": {"content-type": kind}}
    how = draw(st.integers(0, 9))
    if how == 0:
        return {"content": draw(st.binary(max_size=100)), "headers": {"content-type": "application/json"}}
    if how == 1:
        return {"json": draw(json_values)}
    said = calls.plain(inner)
    if how < 5 and said:
        said[draw(st.sampled_from(sorted(said)))] = draw(json_values)
    if how == 5:
        said[draw(texts)] = draw(json_values)
    return {"json": said}
