"""Forms that are large where they should be small: they are refused early, and cost little until then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, repeat

import grpc.aio
import pytest

from services.mesh import errors
from services.mesh.status import reason
from services.storage.forms import Form
from tests.storage.calls import BOUNDARY, FORM, form, part, somebody, upload

FILE = part("file", b"x" * 200_000, "a.wav")
KIB64 = bytes(64 * 1024)


def read(pieces: Iterable[bytes]) -> tuple[Form, bytearray]:
    """The form in these pieces, and its file."""
    kept = bytearray()
    reader = Form(FORM, kept.extend)
    for piece in pieces:
        reader.write(piece)
    reader.finish()
    return reader, kept


class Counted:
    """Pieces without end, that count how many of them were asked for."""

    def __init__(self, first: bytes, then: bytes) -> None:
        self.given = 0
        self._pieces = chain([first], repeat(then))

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.given += 1
            yield piece


ENDLESS = {
    "after the last boundary": (form(FILE), KIB64),
    "in a field": (part("display_name", b"")[:-2], KIB64),
    "in a field that means nothing": (part("note", b"")[:-2], KIB64),
    "in a header": (f"--{BOUNDARY}\r\nX-Much: ".encode(), KIB64.replace(b"\0", b"x")),
    "before the first boundary": (b"\r\n", b"\r\n" * 32 * 1024),
    "blanks behind a boundary": (FILE + f"--{BOUNDARY}".encode(), b" " * 64 * 1024),
    "parts": (b"", part("", b"") * 100),
}


@pytest.mark.parametrize("where", ENDLESS)
def test_what_never_ends_is_refused_at_once(where: str) -> None:
    pieces = Counted(*ENDLESS[where])

    with pytest.raises(errors.InvalidArgument) as raised:
        read(pieces)

    assert raised.value.reason == "BAD_MULTIPART"
    assert pieces.given <= 3


def test_the_cap_is_on_what_is_not_the_file() -> None:
    just, over = (form(FILE) + bytes((64 << 10) - len(form(part("file", b"", "a.wav"))) + more) for more in (0, 1))

    _, kept = read([just])
    with pytest.raises(errors.InvalidArgument) as raised:
        read([over])

    assert len(kept) == 200_000
    assert raised.value.reason == "BAD_MULTIPART"


@pytest.mark.parametrize("piece", [1000, 64 << 10, 4 << 20])
def test_a_large_file_is_not_taken_for_the_rest(piece: int) -> None:
    body = form(part("file", bytes(3 << 20) + b"\r\n--" * 10_000, "a.wav"))

    _, kept = read(body[start : start + piece] for start in range(0, len(body), piece))

    assert len(kept) == (3 << 20) + 40_000


def test_a_file_with_twenty_fields_is_taken_and_with_one_more_is_not() -> None:
    reader, _ = read([form(*[part("note", b"x")] * 20, FILE)])
    with pytest.raises(errors.InvalidArgument) as raised:
        read([form(*[part("note", b"x")] * 21, FILE)])

    assert reader.fields == {}
    assert raised.value.reason == "BAD_MULTIPART"


def test_only_fields_that_mean_something_are_kept() -> None:
    fields = {"display_name": b"My take", "request_id": b"one", "purpose": b"SPEECH", "": b"x"}

    reader, _ = read([form(*(part(name, value) for name, value in fields.items()), FILE)])

    assert reader.fields == {"display_name": "My take", "request_id": "one"}


async def test_many_megabytes_after_the_last_boundary_are_refused_over_the_wire(storage) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await upload(storage, somebody(), form(FILE) + bytes(20 << 20), content_type=FORM, piece=1 << 20)

    assert reason(raised.value) == "BAD_MULTIPART"
