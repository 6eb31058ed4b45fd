"""voicemesh verify, without a mesh and with one that answers over HTTP."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from services.cli.__main__ import app
from services.local import provenance, state
from services.mesh import names
from services.voice import manifests, receipts
from services.voice.engine.encoders import FORMATS, encode
from services.voice.receipts import Receipt
from services.voice.signing import Credential, Signatory

runner = CliRunner()
VOICE = names.new_id()
ORIGIN = receipts.origin(VOICE, "kokoro-v1", "a" * 64)
NOW = datetime.now(UTC).replace(microsecond=0)


def spoken(format: str) -> bytes:
    tone = (0.3 * np.sin(np.arange(24000) * 0.05)).astype(np.float32)
    return encode([tone], format, source_rate=24000)


def carrying(format: str, credential: Credential) -> bytes:
    into = io.BytesIO()
    manifests.embed(io.BytesIO(spoken(format)), into, FORMATS[format].content_type, ORIGIN, NOW, credential)
    return into.getvalue()


def receipt(content: bytes, credential: Credential) -> str:
    sound = manifests.sound(io.BytesIO(content)) or ""
    digest = hashlib.sha256(content).hexdigest()
    return receipts.issue(Receipt(names.new_id(), digest, len(content), "audio/ogg", ORIGIN, NOW, sound), credential)


@pytest.fixture
def mesh(tmp_path: Path) -> Path:
    """The folder of a mesh's state."""
    folder = tmp_path / "state"
    provenance.ensure(folder / "certificates")
    return folder


@pytest.fixture
def credential(mesh: Path, monkeypatch: pytest.MonkeyPatch) -> Credential:
    made = Signatory(mesh / "certificates" / "worker" / "provenance").credential()
    # Nothing was signed before there was a certificate, which the whole suite may come to minutes after reading this.
    monkeypatch.setitem(globals(), "NOW", datetime.now(UTC).replace(microsecond=0))
    return made


def verify(mesh: Path | None, file: Path, *options: str) -> Result:
    return runner.invoke(
        app, ["verify", str(file), *options], env={state.VARIABLE: str(mesh or "/nowhere"), "TERM": "dumb"}
    )


@pytest.mark.parametrize("format", ["wav", "mp3", "flac"])
def test_a_file_with_a_manifest_is_judged_by_itself(
    tmp_path: Path, mesh: Path, credential: Credential, format: str
) -> None:
    content = carrying(format, credential)
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    file = tmp_path / "file"
    found = []
    for each in (content, bytes(flipped), spoken(format)):
        file.write_bytes(each)
        found.append(verify(mesh, file))
    made, altered, unknown = found

    assert [each.exit_code for each in found] == [0, 3, 4]
    assert made.output.startswith("made here: synthetic speech")
    assert altered.output.startswith("altered: ")
    assert unknown.output.startswith("unknown: ")
    for each in (made, altered):
        assert f"voice       voices/{VOICE}\nconsent     voices/{VOICE}/consent\n" in each.output
        assert "by          manifest" in each.output
        assert f"made        {NOW:%Y-%m-%d %H:%M:%S} UTC" in each.output
    assert VOICE not in unknown.output


def test_a_receipt_that_came_along_proves_what_can_carry_no_manifest(
    tmp_path: Path, mesh: Path, credential: Credential
) -> None:
    content, file, proof = spoken("opus"), tmp_path / "file.ogg", tmp_path / "receipt"
    file.write_bytes(content)
    proof.write_text(receipt(content, credential) + "\n")

    alone = verify(mesh, file)
    with_it = verify(mesh, file, "--receipt", str(proof))
    with_text = verify(mesh, file, "--receipt", proof.read_text().strip())
    file.write_bytes(content + b"0")
    changed = verify(mesh, file, "--receipt", str(proof))
    forged = verify(mesh, file, "--receipt", proof.read_text().strip()[:-9] + "AAAAAAAAA")

    assert [each.exit_code for each in (alone, with_it, with_text, changed, forged)] == [4, 0, 0, 3, 1]
    assert f"voices/{VOICE}" in with_it.output
    assert VOICE not in changed.output
    assert "not to be believed" in forged.stderr


def test_whom_to_believe_is_as_told(tmp_path: Path, mesh: Path, credential: Credential) -> None:
    provenance.ensure(tmp_path / "other")
    file = tmp_path / "file"
    file.write_bytes(carrying("wav", credential))

    ours = verify(None, file, "--authority", str(mesh / "certificates" / "provenance" / "ca.crt"))
    others = verify(None, file, "--authority", str(tmp_path / "other" / "provenance" / "ca.crt"))
    nobody = verify(None, file)
    nonsense = verify(None, file, "--authority", str(file))
    no_authority = verify(None, file, "--authority", str(mesh / "certificates" / "worker" / "provenance" / "tls.crt"))

    assert [each.exit_code for each in (ours, others, nobody, nonsense, no_authority)] == [0, 4, 1, 1, 1]
    assert "say whom to believe with --authority, or --address" in nobody.stderr


@pytest.fixture
def served(mesh: Path, credential: Credential) -> Iterator[tuple[str, dict[str, str]]]:
    """An address that answers as the edge does, and the receipts by digest that it knows."""
    known: dict[str, str] = {}

    class Edge(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            answers = {
                "/v1/provenance:authority": lambda asked: {"certificates": credential.anchors.pem},
                "/v1/audio:verifyDigest": lambda asked: {
                    "receipt": next((known[each] for (each,) in asked.values() if each in known), "")
                },
            }
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[url.path](parse_qs(url.query))).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Edge) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", known
        server.shutdown()


def test_a_mesh_is_asked_for_its_receipts_and_believed_only_if_it_has_signed_them(
    tmp_path: Path, credential: Credential, served: tuple[str, dict[str, str]]
) -> None:
    address, known = served
    provenance.ensure(tmp_path / "other")
    stranger = Signatory(tmp_path / "other" / "voice" / "provenance").credential()
    content, plain, file = spoken("opus"), spoken("wav"), tmp_path / "file"

    file.write_bytes(content)
    unknown = verify(None, file, "--address", address)
    known[hashlib.sha256(content).hexdigest()] = receipt(content, stranger)
    lied = verify(None, file, "--address", address)
    known[hashlib.sha256(content).hexdigest()] = receipt(content, credential)
    made = verify(None, file, "--address", address)
    # Of the file with its manifest, which somebody has taken out.
    file.write_bytes(plain)
    known[manifests.sound(io.BytesIO(plain)) or ""] = receipt(carrying("wav", credential), credential)
    bare = verify(None, file, "--address", address)

    assert [each.exit_code for each in (unknown, lied, made, bare)] == [4, 4, 0, 3]
    assert f"voices/{VOICE}" in made.output
    assert f"voices/{VOICE}" in bare.output


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "nowhere", "http://[::"])
def test_a_mesh_that_does_not_answer_is_told_in_a_line(tmp_path: Path, address: str) -> None:
    file = tmp_path / "file"
    file.write_bytes(spoken("wav"))

    result = verify(None, file, "--address", address)

    assert result.exit_code == 1
    assert result.stderr.startswith("voicemesh: ")
    assert result.stderr.count("\n") == 1
