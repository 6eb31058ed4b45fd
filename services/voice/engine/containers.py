"""Is a media file whole? Reads the lengths that containers announce and compares them with the bytes there.

Decoders play a cut-off file to its cut without a word, and the person who sent it would get a voice learnt from
half of what they said. What each container can tell:

- WAV, AIFF: the length of the data chunk (0xFFFFFFFF or 0 from programs that stream: then nothing is known).
- MP4, M4A: the length of each box, and the `moov` box without which nothing plays.
- Matroska, WebM: the length of the segment, or of each element where a browser left it unknown.
- Ogg: the length of each page. The end-of-stream mark is not asked for: many recorders never write it.
- MP3: the byte count of a Xing or Info header; without one, and in bare AAC (ADTS), the length of the last frame,
  which a cut nearly always hits. A cut between two frames of those cannot be seen.
- FLAC announces samples, not bytes: `audio.decode` compares those with what it decoded.
"""

import struct
from collections.abc import Iterator

_UNKNOWN_LENGTHS = (0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000)
_MP3_SLACK = 4096


def missing_bytes(data: bytes) -> int:
    """How many bytes the container announces beyond the end of the data; 0 when whole or nothing is announced."""
    if data[:4] in (b"RIFF", b"FORM", b"RIFX"):
        return _chunks(data, "<" if data[:4] == b"RIFF" else ">")
    if data[4:8] in (b"ftyp", b"moov", b"mdat", b"styp", b"wide", b"free", b"skip"):
        return _boxes(data)
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return _elements(data)
    if data[:4] == b"OggS":
        return _pages(data)
    return _frames(data)


def _chunks(data: bytes, order: str) -> int:
    position = 12
    while position + 8 <= len(data):
        name, (length,) = data[position : position + 4], struct.unpack_from(f"{order}I", data, position + 4)
        if name in (b"data", b"SSND"):
            return 0 if length in _UNKNOWN_LENGTHS else max(0, position + 8 + length - len(data))
        position += 8 + length + length % 2
    # The sound has not even begun.
    return max(1, position - len(data))


def _boxes(data: bytes) -> int:
    position, playable = 0, False
    while position + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, position)
        if length == 1 and position + 16 <= len(data):
            (length,) = struct.unpack_from(">Q", data, position + 8)
        playable = playable or name == b"moov"
        if length == 0:
            return 0 if playable else 1
        if length < 8:
            # Garbage after the boxes, which players ignore.
            break
        position += length
    if position > len(data):
        return position - len(data)
    return 0 if playable else 1


_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675


def _elements(data: bytes) -> int:
    end = 0
    for name, start, length in _ebml(data, 0):
        if length is not None:
            end = start + length
        elif name in (_SEGMENT, _CLUSTER):
            # Its length is unknown, so its children say where it ends; being in it is reading on.
            end = start
    return max(0, end - len(data))


def _ebml(data: bytes, position: int) -> Iterator[tuple[int, int, int | None]]:
    while position < len(data):
        name, position = _variable(data, position, keep_marker=True)
        if name is None:
            yield 0, len(data), 1
            return
        length, start = _variable(data, position, keep_marker=False)
        if length is None:
            yield 0, len(data), 1
            return
        width = start - position
        unknown = length == (1 << (7 * width)) - 1
        yield name, start, None if unknown else length
        position = start if unknown else start + length


def _variable(data: bytes, position: int, *, keep_marker: bool) -> tuple[int | None, int]:
    first = data[position] if position < len(data) else 0
    width = 9 - first.bit_length()
    if not first or position + width > len(data):
        return None, position
    value = int.from_bytes(data[position : position + width], "big")
    return (value if keep_marker else value & ((1 << (7 * width)) - 1)), position + width


def _pages(data: bytes) -> int:
    position = 0
    while position + 27 <= len(data) and data[position : position + 4] == b"OggS":
        segments = data[position + 26]
        table = data[position + 27 : position + 27 + segments]
        position += 27 + segments + sum(table)
        if position > len(data) or len(table) < segments:
            return max(1, position - len(data))
    # A started page header, against foreign bytes at the end.
    return 27 - (len(data) - position) if 0 < len(data) - position < 27 and data[position:][:4] == b"OggS" else 0


_MPEG1_KBPS = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2_KBPS = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}


def _frame_length(data: bytes, position: int) -> int | None:
    """Bytes of the MP3 or ADTS frame that begins here; None where none does."""
    head = data[position : position + 6]
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        return length if length > 6 else None
    version, layer, rate, bits = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 2 & 3, head[2] >> 4
    if layer != 1 or version not in _RATES or rate == 3 or bits in (0, 15):
        return None
    kbps = (_MPEG1_KBPS if version == 3 else _MPEG2_KBPS)[bits]
    return (144 if version == 3 else 72) * kbps * 1000 // _RATES[version][rate] + (head[2] >> 1 & 1)


def _frames(data: bytes) -> int:
    start = 0
    if data[:3] == b"ID3" and len(data) >= 10:
        size = 0
        for byte in data[6:10]:
            size = size << 7 | byte & 0x7F
        start = 10 + size
        if start >= len(data):
            return start - len(data) + 1
    head = data[start : start + 200]
    length = _frame_length(data, start)
    if length is None:
        return 0
    for mark in (b"Xing", b"Info"):
        at = head.find(mark)
        if at > 0 and len(head) >= at + 16:
            (flags,) = struct.unpack_from(">I", head, at + 4)
            if flags & 2:
                (total,) = struct.unpack_from(">I", head, at + (12 if flags & 1 else 8))
                missing = start + total - len(data)
                # Programs that edit tags or trim the last frame leave the count as it was.
                return missing if missing > _MP3_SLACK else 0
    position = start
    while length is not None:
        position += length
        length = _frame_length(data, position)
    rest = data[position : position + 6]
    if 0 < len(rest) < 6 and rest[0] == 0xFF and (len(rest) == 1 or rest[1] & 0xE0 == 0xE0):
        # Cut inside a frame's own header.
        return 1
    return max(0, position - len(data))
