"""Probes: what is found in a process of its own, and what a hostile file costs."""

from __future__ import annotations

import os
import resource
import struct
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import pytest

from services.mesh import errors
from services.storage import probes
from services.storage.media import Media
from tests.storage.sounds import wav


@contextmanager
def holding(data: bytes) -> Iterator[BinaryIO]:
    """A file as the spool has it, at its end and not flushed."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        yield file


def box(name: bytes, *content: bytes) -> bytes:
    """A box of an MP4 file."""
    whole = b"".join(content)
    return struct.pack(">I", 8 + len(whole)) + name + whole


def full(name: bytes, *content: bytes) -> bytes:
    """A box with a version and flags."""
    return box(name, bytes(4), *content)


def bomb(samples: int) -> bytes:
    """A small MP4 file of so many samples, as it says, each of which gets 24 bytes in the reader's index."""
    entry = box(b"alac", bytes(6), struct.pack(">H8xHHHHI", 1, 1, 16, 0, 0, 44_100 << 16))
    table = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), entry),
        full(b"stts", struct.pack(">III", 1, samples, 1024)),
        full(b"stsc", struct.pack(">IIII", 1, 1, samples, 1)),
        full(b"stsz", struct.pack(">II", 1, samples)),
        full(b"stco", struct.pack(">II", 1, 8)),
    )
    told = full(b"mdhd", struct.pack(">IIIII", 0, 0, 44_100, 0xFFFFFF, 0))
    handler = full(b"hdlr", bytes(4), b"soun", bytes(13))
    header = full(b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, 0), bytes(60))
    track = box(b"trak", header, box(b"mdia", told, handler, box(b"minf", table)))
    moov = box(b"moov", full(b"mvhd", struct.pack(">IIII", 0, 0, 1000, 1000), bytes(80)), track)
    return box(b"ftyp", b"M4A ", bytes(4)) + moov + box(b"mdat", bytes(100))


def test_it_finds_what_is_there_and_leaves_the_file_as_it_was() -> None:
    with holding(wav()) as file:
        found = probes.probe(file)
        at = file.tell()
        file.seek(0)
        again = file.read()

    assert found == Media("audio/wav", 1.0)
    assert at == len(wav())
    assert again == wav()


def test_what_is_no_audio_is_refused() -> None:
    with holding(b"This is no recording.\n" * 200) as file, pytest.raises(errors.InvalidArgument) as raised:
        probes.probe(file)

    assert raised.value.reason == "NOT_AUDIO"


def test_a_small_file_cannot_take_gigabytes() -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss

    with holding(bomb(80_000_000)) as file, pytest.raises(errors.InvalidArgument) as raised:
        probes.probe(file)

    assert raised.value.reason == "NOT_AUDIO"
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss <= max(before, (1 << 30) // 1024)


@pytest.mark.parametrize("fate", ["while True: pass", "import os\nos.abort()"], ids=["takes for ever", "crashes"])
def test_a_file_that_overcomes_its_probe_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path, fate: str) -> None:
    limited = "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\n"
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}\n{limited}{fate}\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", os.fspath(script))

    with holding(wav()) as file, pytest.raises(errors.InvalidArgument) as raised:
        probes.probe(file)

    assert raised.value.reason == "NOT_AUDIO"


def test_a_probe_that_cannot_run_is_no_fault_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    with holding(wav()) as file, pytest.raises(RuntimeError):
        probes.probe(file)
