"""Names of files that are made to lead elsewhere: they are kept as words, or refused, and never become a path."""

from __future__ import annotations

import io
import re
import secrets
import wave
from pathlib import Path
from unicodedata import normalize
from uuid import UUID

import grpc
import grpc.aio
import httpx
import pytest
from google.api import httpbody_pb2
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from services.local.mesh import Mesh
from tests.security import calls, shots
from tests.security.people import Person

MARK = secrets.token_hex(8)
NAMES = {
    "a path up": f"../../../../../../../../etc/{MARK}",
    "a path up, of Windows": f"..\\..\\..\\{MARK}",
    "an absolute path": f"/etc/{MARK}",
    "a drive": f"C:\\{MARK}",
    "an escaped path": f"..%2f..%2f..%2fetc%2f{MARK}",
    "twice escaped": f"..%252f..%252fetc%252f{MARK}",
    "overlong dots": "..\u2044..\u2044etc",
    "only dots": "..",
    "a dot": ".",
    "spaces": "   ",
    "a leading dash": "-rf",
    "a device": "CON.wav",
    "a stream": "a.wav::$DATA",
    "right to left": "\u202egnp.exe",
    "zero width": "a\u200b\u2060b.wav",
    "combining": "e" + "\u0301" * 100,
    "emoji": "🎙️" * 20,
    "Japanese": "録音.flac",
    "half-width": "ｆｉｌｅ．ｗａｖ",
    "a noncharacter": "a\ufffeb",
    "a private one": "\U0010fffd.wav",
    "quotes": "a\"b'c`d.wav",
    "a header": 'a.wav"; filename="b.exe',
    "markup": "<script>alert(1)</script>",
    "SQL": "'; DROP TABLE files; --",
    "a template": "{{7*7}}${7*7}%{7*7}%s%n",
    "a shell": "$(touch x)|`touch x`;touch x",
    "255 characters": "a" * 255,
}
REFUSED = {
    "NUL": "a\u0000b.wav",
    "NUL at the end": "a.wav\u0000.txt",
    "a line end": "a\r\nSet-Cookie: a=b",
    "a bell": "a\u0007",
    "a control of C1": "a\u0085b",
    "256 characters": "a" * 256,
    "300 characters": "a" * 300,
    "300 of three bytes": "録" * 300,
}


def sound() -> bytes:
    """A tenth of a second of silence."""
    into = io.BytesIO()
    with wave.open(into, "wb") as file:
        file.setparams((1, 2, 8000, 800, "NONE", ""))
        file.writeframes(bytes(1600))
    return into.getvalue()


async def stored(ada: Person, name: str) -> list[tuple[str, str]]:
    """What comes of an upload of that name, by each way: code or the display name that was kept, and the file."""
    content = sound()
    found = []
    form = await ada.rest.post("/v1/files", files={"file": (name, content)}, headers=dict(ada.bearer))
    raw = await ada.rest.post("/v1/files", params={"display_name": name}, content=content, headers=dict(ada.bearer))
    for response in (form, raw):
        body = response.json()
        answer = calls.read(response.status_code, {}, response.text)
        found.append((body["display_name"], body["name"]) if answer.code == 0 else (answer.said[0], answer.reason))

    async def pieces():
        yield storage_pb2.UploadFileRequest(content=httpbody_pb2.HttpBody(data=content), display_name=name)

    try:
        file = await storage_pb2_grpc.StorageServiceStub(ada.channel).UploadFile(pieces(), metadata=ada.bearer)
        found.append((file.display_name, file.name))
    except grpc.aio.AioRpcError as error:
        found.append((error.code().name, ""))
    return found


QUOTED = re.compile(r"attachment(; filename(\*=UTF-8''[\w%.!~*'()-]+|=\"[ !#-\[\]-~]*\"))*", re.ASCII)
"""A header that says no more than a name (RFC 6266)."""
FEW = ["a path up", "an absolute path", "right to left", "combining", "Japanese", "a header", "SQL", "255 characters"]


@pytest.mark.parametrize("what", NAMES if shots.WHOLE else FEW)
async def test_an_odd_name_is_kept_as_words(ada: Person, what: str) -> None:
    form, *others = await stored(ada, NAMES[what])
    got = await ada.rest.get(f"/v1/{form[1]}:download", headers=dict(ada.bearer))

    assert {normalize("NFC", name) for name, _ in others} == {normalize("NFC", NAMES[what])}
    # A form's name is cut at its last slash, as browsers of old sent whole paths.
    assert normalize("NFC", form[0]) in normalize("NFC", NAMES[what])
    assert all(UUID(file.removeprefix("files/")) for _, file in (form, *others))
    assert got.status_code == 200
    assert QUOTED.fullmatch(got.headers["content-disposition"])
    assert "set-cookie" not in got.headers


@pytest.mark.parametrize("what", REFUSED)
async def test_a_name_that_is_none_is_refused(ada: Person, what: str) -> None:
    answers = await stored(ada, REFUSED[what])

    form, raw, native = (code for code, _ in answers)
    assert raw == native == "INVALID_ARGUMENT"
    # In a form some of them cannot be written, and are escaped or cut by the client.
    assert form == "INVALID_ARGUMENT" or not any(ord(character) < 32 for character in form)


IDS = ["..", "%2e%2e", "../../voices", "..%2f..%2fetc%2fpasswd", "%00", "a%00b", "%0d%0aSet-Cookie:a=b", "a" * 300]
IDS += ["'%20OR%20'1'='1", "*", "{name}", "-", "%25s", "%f0%9f%8e%99", "%c0%ae%c0%ae", "%ff", "00000000", "null", "0"]


@pytest.mark.parametrize("collection", ["files", "voices", "speeches", "users"])
@pytest.mark.parametrize("id", IDS)
async def test_an_id_that_is_none_is_not_found(rest: httpx.AsyncClient, ada: Person, collection: str, id: str) -> None:
    for path in (f"/v1/{collection}/{id}", f"/v1/{collection}/{id}:download", f"/v1/{collection}/{id}/timestamps"):
        request = rest.build_request("GET", rest.base_url.copy_with(raw_path=path.encode()), headers=dict(ada.bearer))
        response = await rest.send(request)

        assert response.status_code in (400, 404), path
        assert response.json()["code"] in (3, 5)
        assert "set-cookie" not in response.headers


async def test_nothing_lies_where_it_should_not(running: Mesh, ada: Person) -> None:
    """After all of the above."""
    for name in (NAMES["a path up"], NAMES["an absolute path"]):
        await stored(ada, name)
    below = [path for path in running.state.folder.rglob("*") if MARK in path.name]

    assert below == []
    assert not (Path("/etc") / MARK).exists()
    assert all(part.replace("-", "").isalnum() for path in running.state.files.rglob("*") for part in path.parts[-1:])
