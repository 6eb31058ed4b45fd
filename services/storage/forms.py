"""Forms: a file in the way that browsers and `curl -F` send it, multipart/form-data (RFC 7578)."""

from __future__ import annotations

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.mesh import errors

_KEPT = frozenset({"display_name", "request_id"})
_LARGEST_REST = 64 * 1024
_MOST_PARTS = 21
_STRIDE = 64 * 1024


class Form:
    """Reads a form piece by piece; the bytes of its one file go to `sink` as they come.

    The file is the part that has a file name, or is called `file`. Of the other fields only those that mean something
    here are kept. `sink` caps the file; all the rest, what follows the last boundary too, is capped here.
    """

    def __init__(self, content_type: str, sink: Callable[[memoryview], None]) -> None:
        _, options = parse_options_header(content_type)
        self.fields: dict[str, str] = {}
        self.file_name = ""
        self._sink = sink
        self._header = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._field = ""
        self._value = bytearray()
        self._parts = self._rest = 0
        self._in_file = self._has_file = self._ended = False
        self._parser = _parser(options.get(b"boundary", b""), self)

    def write(self, piece: bytes) -> None:
        """Reads on.

        Raises:
            InvalidArgument: this is no such form, or has too much that is not the file (BAD_MULTIPART).
        """
        for start in range(0, len(piece), _STRIDE):  # So that little is read of what is too much.
            stride = piece[start : start + _STRIDE]
            self._rest += len(stride)
            try:
                self._parser.write(stride)
            except FormParserError as error:
                raise _bad(f"is not well formed ({error})") from error
            if self._rest > _LARGEST_REST:
                raise _bad("has too much that is not its file")

    def finish(self) -> None:
        """Says that nothing more will come.

        Raises:
            InvalidArgument: the form is cut off, or has no file (BAD_MULTIPART).
        """
        if not self._ended:
            raise _bad("is cut off: its last boundary is missing")
        if not self._has_file:
            raise _bad("has no file: send one part with a file name, or called `file`")

    def begin_part(self) -> None:
        """Called at the beginning of a part."""
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise _bad(f"has more than {_MOST_PARTS} parts")
        self._headers = {}
        self._value = bytearray()

    def header_name(self, data: bytes, start: int, end: int) -> None:
        """Called with a piece of a header's name."""
        self._header[0].extend(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        """Called with a piece of a header's value."""
        self._header[1].extend(data[start:end])

    def end_header(self) -> None:
        """Called at the end of a header."""
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def end_headers(self) -> None:
        """Called when all headers of a part are read: now it is known what the part is."""
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        self._field = options.get(b"name", b"").decode("utf-8", "replace")
        file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._in_file = bool(file_name) or self._field == "file"
        if self._in_file:
            if self._has_file:
                raise _bad("has more than one file: send one at a time")
            self._has_file = True
            # Browsers write a quotation mark so: https://html.spec.whatwg.org/#multipart-form-data
            self.file_name = file_name.replace("%22", '"')

    def part_data(self, data: bytes, start: int, end: int) -> None:
        """Called with a piece of a part."""
        if self._in_file:
            self._rest -= end - start
            self._sink(memoryview(data)[start:end])
        elif self._field in _KEPT:
            self._value += data[start:end]

    def end_part(self) -> None:
        """Called at the end of a part."""
        if not self._in_file and self._field in _KEPT:
            self.fields[self._field] = self._value.decode("utf-8", "replace")

    def end(self) -> None:
        """Called at the last boundary."""
        self._ended = True


def _parser(boundary: bytes, form: Form) -> MultipartParser:
    if not boundary:
        raise _bad("names no boundary in its content type")
    try:
        return MultipartParser(
            boundary,
            {
                "on_part_begin": form.begin_part,
                "on_header_field": form.header_name,
                "on_header_value": form.header_value,
                "on_header_end": form.end_header,
                "on_headers_finished": form.end_headers,
                "on_part_data": form.part_data,
                "on_part_end": form.end_part,
                "on_end": form.end,
            },
        )
    except FormParserError as error:
        raise _bad(f"has a bad boundary ({error})") from error


def _bad(what: str) -> errors.InvalidArgument:
    return errors.InvalidArgument("BAD_MULTIPART", f"the multipart form {what}")
