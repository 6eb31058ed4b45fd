"""What a page in a browser needs: CORS, and gRPC-Web."""

from __future__ import annotations

import base64
import struct

import pytest
from voicemesh.voice.v1 import voice_pb2

from tests.envoy.edge import Edge

PAGE = "http://localhost:5173"


def framed(message: bytes) -> bytes:
    return b"\0" + struct.pack(">I", len(message)) + message


def frames(body: bytes) -> list[tuple[int, bytes]]:
    """The frames of a gRPC-Web body: flag 0x80 marks the trailers."""
    found = []
    while body:
        flag, length = body[0], struct.unpack(">I", body[1:5])[0]
        found.append((flag, body[5 : 5 + length]))
        body = body[5 + length :]
    return found


@pytest.mark.parametrize("origin", [PAGE, "http://localhost", "http://127.0.0.1:8000"])
@pytest.mark.parametrize("path", ["/v1/voices", "/voicemesh.voice.v1.VoiceService/GetVoice"])
async def test_a_preflight_of_an_own_page_is_answered_without_a_credential(edge: Edge, origin: str, path: str) -> None:
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x"}
    async with edge.http(signed_in=False) as client:
        response = await client.options(path, headers=asked)

    assert response.status_code == 200
    assert response.headers["access-control-allow-origin"] == origin
    assert "authorization" in response.headers["access-control-allow-headers"]
    assert "PATCH" in response.headers["access-control-allow-methods"]


@pytest.mark.parametrize(
    "origin",
    ["https://evil.test", "http://localhost.evil.test", "http://localhost:80.evil.test", "null", "http://127x0x0x1"],
)
async def test_other_pages_are_not_let_in(edge: Edge, origin: str) -> None:
    async with edge.http() as client:
        preflight = await client.options(
            "/v1/voices", headers={"origin": origin, "access-control-request-method": "POST"}
        )
        answer = await client.get("/v1/voices", headers={"origin": origin})

    assert "access-control-allow-origin" not in preflight.headers
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_can_read_refusals_too(edge: Edge) -> None:
    async with edge.http(signed_in=False) as client:
        refused = await client.get("/v1/voices", headers={"origin": PAGE})
        unknown = await client.get("/v1/nothing", headers={"origin": PAGE, **edge.bearer()})

    assert (refused.status_code, unknown.status_code) == (401, 404)
    for answer in (refused, unknown):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("text", [False, True], ids=["binary", "text"])
async def test_grpc_web_calls_a_method(edge: Edge, text: bool) -> None:
    body = framed(voice_pb2.GetVoiceRequest(name="voices/7").SerializeToString())
    kind = "application/grpc-web-text" if text else "application/grpc-web+proto"
    async with edge.http() as client:
        response = await client.post(
            "/voicemesh.voice.v1.VoiceService/GetVoice",
            content=base64.b64encode(body) if text else body,
            headers={"content-type": kind, "accept": kind, "x-grpc-web": "1", "origin": PAGE},
        )
    quads = (response.content[start : start + 4] for start in range(0, len(response.content), 4))
    # Each frame is padded by itself.
    content = b"".join(map(base64.b64decode, quads)) if text else response.content
    (_, message), (flag, trailers) = frames(content)

    assert response.headers["content-type"].startswith(kind.removesuffix("+proto"))
    assert voice_pb2.Voice.FromString(message).name == "voices/7"
    assert flag == 0x80
    assert b"grpc-status:0" in trailers


@pytest.mark.parametrize("path", ["/voicemesh.voice.v1.VoiceService/GetVoice", "/no.such.Service/Method"])
async def test_grpc_web_without_a_credential_is_told_so(edge: Edge, path: str) -> None:
    async with edge.http(signed_in=False) as client:
        response = await client.post(
            path,
            content=framed(b""),
            headers={"content-type": "application/grpc-web+proto", "x-grpc-web": "1", "origin": PAGE},
        )

    assert response.headers["grpc-status"] == "16"
    assert "sign in" in response.headers["grpc-message"]
    assert response.headers["access-control-allow-origin"] == PAGE
