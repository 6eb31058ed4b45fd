"""Requests that two readers could read differently, or that are too large: Envoy answers each once, with 4xx."""

from __future__ import annotations

import asyncio
import json
import secrets

import grpc
import grpc.aio
import httpx
import psutil
import pytest
from google.api import httpbody_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc

from services.local.mesh import Mesh
from services.mesh import identity
from services.mesh.server import LARGEST_MESSAGE
from tests.security import calls, shots
from tests.security.conftest import CAP
from tests.security.people import SAMPLE, Person
from tests.security.wire import request, say

LOGIN = "/v1/auth:login"
NOT_IMPLEMENTED = 501
"""What RFC 9112, section 6.1, asks for where a transfer coding is not understood."""


def hidden(mark: str) -> bytes:
    """The request that is not to be seen."""
    return request("GET", f"/smuggled/{mark}")


AMBIGUOUS: dict[str, tuple[list[str], bytes]] = {
    "CL.TE": (["Content-Length: {all}", "Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "TE.CL": (["Transfer-Encoding: chunked", "Content-Length: 5"], b"0\r\n\r\n"),
    "TE twice": (["Transfer-Encoding: chunked", "Transfer-Encoding: identity"], b"0\r\n\r\n"),
    "TE list": (["Transfer-Encoding: chunked, identity"], b"0\r\n\r\n"),
    "TE identity first": (["Transfer-Encoding: identity, chunked"], b"0\r\n\r\n"),
    "xchunked": (["Content-Length: {all}", "Transfer-Encoding: xchunked"], b"0\r\n\r\n"),
    "a tab": (["Content-Length: {all}", "Transfer-Encoding:\tchunked"], b"0\r\n\r\n"),
    "a vertical tab": (["Content-Length: {all}", "Transfer-Encoding: \x0bchunked"], b"0\r\n\r\n"),
    "a space before the colon": (["Content-Length: {all}", "Transfer-Encoding : chunked"], b"0\r\n\r\n"),
    "a folded line": (["Content-Length: {all}", "X-A: b", " Transfer-Encoding: chunked"], b"0\r\n\r\n"),
    "a folded coding": (["Content-Length: {all}", "Transfer-Encoding:", " chunked"], b"0\r\n\r\n"),
    "quoted": (["Content-Length: {all}", 'Transfer-Encoding: "chunked"'], b"0\r\n\r\n"),
    "two lengths": (["Content-Length: 0", "Content-Length: {all}"], b""),
    "two lengths in one": (["Content-Length: 0, {all}"], b""),
    "a length with a sign": (["Content-Length: +{all}"], b""),
    "a negative length": (["Content-Length: -1"], b""),
    "a hexadecimal length": (["Content-Length: 0x0"], b""),
    "a length beyond all": (["Content-Length: 99999999999999999999999"], b""),
    "a length with words": (["Content-Length: 0 bytes"], b""),
    "a chunk beyond all": (["Transfer-Encoding: chunked"], b"FFFFFFFFFFFFFFFFF\r\n"),
    "a chunk with a sign": (["Transfer-Encoding: chunked"], b"-1\r\n"),
    "a chunk of no size": (["Transfer-Encoding: chunked"], b"\r\n0\r\n\r\n"),
    "a bare line feed": (["Content-Length: 0\nTransfer-Encoding: chunked"], b"0\r\n\r\n"),
    "a bare carriage return": (["X-A: b\rTransfer-Encoding: chunked", "Content-Length: {all}"], b"0\r\n\r\n"),
    "NUL": (["X-A: b\x00c"], b""),
    "a name with NUL": (["X\x00A: b"], b""),
    "two hosts": (["Host: other", "Content-Length: {all}"], b""),
    "an old upgrade": (
        ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQ", "Content-Length: {all}"],
        b"",
    ),
    "a websocket": (["Connection: Upgrade", "Upgrade: websocket", "Content-Length: {all}"], b""),
}


@pytest.mark.parametrize("what", AMBIGUOUS)
async def test_what_could_be_read_in_two_ways_is_not_read_in_the_second(running: Mesh, what: str) -> None:
    mark = secrets.token_hex(8)
    lines, body = AMBIGUOUS[what]
    after = body + hidden(mark)
    said = request("POST", LOGIN, *(line.format(all=len(after)) for line in lines), body=after)

    heard = await say(running, said)
    await asyncio.sleep(0.05)
    log = (running.state.logs / "access.log").read_text()

    assert all(400 <= status < 500 or status == NOT_IMPLEMENTED for status in heard.statuses)
    assert len(heard.statuses) <= 1
    assert mark not in log
    assert b"HTTP/1.1 101" not in heard.raw


TARGETS = [
    "/v1/users%2Fme",
    "/v1/users%2fme",
    "/v1/users%5Cme",
    "/v1/users\\me",
    "/v1/%75sers/me",
    "/v1//users//me",
    "/v1/./users/me",
    "/v1/x/../users/me",
    "/v1/x/%2e%2e/users/me",
    "/v1/users/me%00",
    "/v1/users/me;a=b",
    "/v1/users/me#/.well-known/jwks.json",
    "/.well-known/jwks.json/../../v1/users/me",
    "/.well-known/jwks.json/..%2f..%2fv1/users/me",
    "/.well-known/jwks.json%2f..%2f..%2fv1%2fusers%2fme",
    "/.well-known/jwks.json%252f..%252f..%252fv1/users/me",
    "/v1/auth:login/../users/me",
    "/v1/auth:login/..;/users/me",
    "/v1/auth%3Alogin/../users/me",
    "/v1/users/me/.well-known/jwks.json",
    "/v1/users/me?/.well-known/jwks.json",
    "http://mesh/v1/users/me",
    "http://localhost:8084/v1/users/me",
    "http://mesh@elsewhere/v1/users/me",
    "https://mesh/v1/users/me",
    "//elsewhere/v1/users/me",
    "*",
    "v1/users/me",
    "/voicemesh.user.v1.UserService/GetUser",
    "/voicemesh.auth.v1.AuthService/Login/../../voicemesh.user.v1.UserService/GetUser",
    "/grpc.health.v1.Health/Check/../../voicemesh.user.v1.UserService/GetUser",
]


VERBS = ["GET", "POST", "HEAD", "OPTIONS", "TRACE", "get", "CONNECT", "PRI"] if shots.WHOLE else ["GET", "POST"]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("target", TARGETS)
async def test_no_way_of_writing_a_path_goes_round_the_gateway(running: Mesh, target: str, verb: str) -> None:
    heard = await say(running, request(verb, target, "Content-Length: 0", "Connection: close"), patience=2)

    assert len(heard.statuses) <= 1
    assert all(status in (400, 401, 403, 404, 405) for status in heard.statuses)
    assert heard.closed or heard.statuses


VERSIONS = [
    b"GET /v1/users/me\r\n",
    b"GET /v1/users/me HTTP/1.0\r\n\r\n",
    b"GET /v1/users/me HTTP/1.1\r\n\r\n",
    b"GET /v1/users/me HTTP/2.0\r\nHost: a\r\n\r\n",
    b"GET /v1/users/me HTTP/9.9\r\nHost: a\r\n\r\n",
    b"GET  /v1/users/me  HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 64,
    b"\x16\x03\x01\x02\x00",
    bytes(64),
]


@pytest.mark.parametrize("said", VERSIONS)
async def test_what_is_no_request_is_refused(running: Mesh, said: bytes) -> None:
    heard = await say(running, said, patience=0.5)

    assert all(400 <= status < 500 for status in heard.statuses)
    assert len(heard.statuses) <= 1


async def test_on_one_connection_each_request_needs_a_credential_of_its_own(running: Mesh, ada: Person) -> None:
    signed_in = request("GET", "/v1/users/me", f"Authorization: {ada.bearer[0][1]}")

    heard = await say(running, signed_in + request("GET", "/v1/users/me") + request("GET", "/v1/users/me"))

    assert heard.statuses == [200, 401, 401]


@pytest.mark.parametrize("name", ["x_voicemesh_user", "x-voicemesh_user", "x-voicemesh-user ", " x-voicemesh-user"])
async def test_an_identity_spelled_otherwise_is_refused(running: Mesh, ada: Person, eve: Person, name: str) -> None:
    user = ada.session["user"].removeprefix("users/")
    said = request("GET", "/v1/users/me", f"Authorization: {eve.bearer[0][1]}", f"{name}: {user}", f"{identity.USER}:x")

    heard = await say(running, said)

    # A name with a space before it continues the line above, which spoils the credential.
    assert heard.statuses in ([400], [401]) or heard.body["name"] == eve.session["user"]


LONG = "a" * 40_000


@pytest.mark.parametrize(
    ("lines", "path", "statuses"),
    [
        ([f"X-Long: {LONG}"], "/v1/users/me", {431}),
        ([f"X-{number}: a" for number in range(100)], "/v1/users/me", {431}),
        ([], f"/v1/users/{LONG}", {414, 431}),
        ([], f"/v1/voices?page_token={LONG}", {414, 431}),
        ([f"Cookie: {LONG}"], "/v1/users/me", {431}),
        ([f"Authorization: Bearer {'a' * 20_000}"], "/v1/users/me", {401, 431}),
        ([f"X-{LONG}: a"], "/v1/users/me", {431}),
    ],
)
async def test_heads_that_are_too_large(running: Mesh, lines: list[str], path: str, statuses: set[int]) -> None:
    heard = await say(running, request("GET", path, *lines))

    assert len(heard.statuses) == 1
    assert heard.statuses[0] in statuses
    assert heard.body["code"] in (3, 8, 16)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_message_that_is_too_large(rest: httpx.AsyncClient, ada: Person, chunked: bool) -> None:
    text = json.dumps({"display_name": "a" * (LARGEST_MESSAGE + 1)}).encode()

    async def pieces():
        for start in range(0, len(text), 65536):
            yield text[start : start + 65536]

    content = pieces() if chunked else text
    answer = await calls.send(rest, "PATCH", "/v1/users/me", content=content, headers=dict(ada.bearer))

    assert (answer.http, answer.said[0]) == (413, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("claims", [True, False])
async def test_an_upload_that_never_ends_is_ended(rest: httpx.AsyncClient, ada: Person, claims: bool) -> None:
    sent = 0

    async def pieces():
        nonlocal sent
        yield SAMPLE.read_bytes()
        while sent < 20 * CAP:
            sent += 65536
            yield bytes(65536)

    headers = dict(ada.bearer) | ({"content-length": str(1 << 40)} if claims else {})
    try:
        answer = await calls.send(rest, "POST", "/v1/files", content=pieces(), headers=headers)
        assert answer.said == ("INVALID_ARGUMENT", "FILE_TOO_LARGE")
    except httpx.TransportError:
        pass  # Cut off in the middle of sending, as HTTP/1.1 allows.

    assert sent < 10 * CAP


NESTED = {
    "lists": '{"voice":' + "[" * 50_000,
    "objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "a long number": '{"display_name":' + "9" * 100_000 + "}",
    "a number beyond all": '{"page_size": 1e999999}',
    "half a surrogate": '{"display_name": "\\ud800"}',
    "no end": '{"display_name": "' + "a" * 100_000,
    "keys by the thousand": "{" + ",".join(f'"k{n}":{n}' for n in range(50_000)) + "}",
    "the same key again and again": "{" + ",".join('"display_name":"a"' for _ in range(50_000)) + "}",
}


@pytest.mark.parametrize("what", NESTED)
async def test_json_that_is_made_to_hurt(rest: httpx.AsyncClient, ada: Person, what: str) -> None:
    answers = [
        await calls.send(rest, verb, path, content=NESTED[what], headers=dict(ada.bearer))
        for verb, path in (("POST", "/v1/voices"), ("PATCH", "/v1/users/me/preferences"), ("POST", LOGIN))
    ]

    assert {answer.said[0] for answer in answers} <= {"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED"}


def memory(running: Mesh) -> int:
    """How much all processes of the mesh have in memory, in bytes."""
    return sum(child.memory_info().rss for child in psutil.Process().children(recursive=True))


async def test_a_message_that_swells_is_not_let_in(running: Mesh, channel: grpc.aio.Channel) -> None:
    """A little gzip that becomes 200 MB; anybody may call the method."""
    before = memory(running)
    request_ = auth_pb2.RefreshRequest(refresh_token="a" * 200_000_000)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await auth_pb2_grpc.AuthServiceStub(channel).Refresh(request_, compression=grpc.Compression.Gzip, timeout=30)

    assert raised.value.code() in (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED)
    assert memory(running) - before < 100_000_000


async def test_a_native_message_that_is_too_large(channel: grpc.aio.Channel, ada: Person) -> None:
    async def pieces():
        yield storage_pb2.UploadFileRequest(content=httpbody_pb2.HttpBody(data=bytes(LARGEST_MESSAGE + 1)))

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await storage_pb2_grpc.StorageServiceStub(channel).UploadFile(pieces(), metadata=ada.bearer, timeout=30)

    assert raised.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


@pytest.mark.skipif(not shots.WHOLE, reason="it takes ten seconds to be sent away; make security waits for it")
async def test_who_does_not_finish_a_head_is_sent_away(running: Mesh) -> None:
    heard = await say(running, b"GET /v1/users/me HTTP/1.1\r\nHost: a\r\n", patience=30, after=5)

    assert heard.statuses in ([408], [])
    assert heard.closed
