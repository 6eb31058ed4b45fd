"""What the edge gives away, how much it takes, and how long it waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from voicemesh.voice.v1 import voice_pb2, voice_pb2_grpc

from services.local.envoy import Patience
from tests.envoy.edge import Edge, Ports, running

HOST = b"host: voices.test\r\n"
SLOW = Patience(headers_seconds=0.5, idle_seconds=1, unary_seconds=3)


async def talk(edge: Edge, *pieces: bytes, pause: float = 0) -> httpx.Response:
    """What the edge answers to these bytes, with a pause between one piece and the next."""
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
    try:
        async with asyncio.timeout(20):
            answer = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))
            for piece in pieces:
                writer.write(piece)
                await asyncio.wait({answer}, timeout=pause)
                if answer.done():
                    break
            status, _, fields = (await answer).decode().partition("\r\n")
            headers = [line.split(": ", 1) for line in fields.splitlines() if line]
            body = await reader.readexactly(int(dict(headers).get("content-length", "0")))  # type: ignore[arg-type]
    finally:
        writer.close()
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)  # type: ignore[arg-type]


def reason(answer: httpx.Response) -> str:
    """The reason of a refusal."""
    found: str = answer.json()["details"][0]["reason"]
    return found


@pytest.fixture(scope="module")
async def impatient(
    certificates: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, port: Ports
) -> AsyncIterator[Edge]:
    """An edge that waits for nobody."""
    async with running(certificates, tmp_path_factory.mktemp("envoy"), port, patience=SLOW) as edge:
        yield edge


async def test_no_answer_betrays_what_runs_behind_it(edge: Edge) -> None:
    answers = [await edge.get(path) for path in ("/v1/voices/1", "/v1/voices/none", "/v1/voices/broken", "/v1/nothing")]

    for answer in answers:
        assert answer.headers["server"] == "voicemesh"
        shown = " ".join([*answer.headers.keys(), *answer.headers.values(), answer.text]).lower()
        assert not [word for word in ("envoy", "python", "grpcio", "x-powered-by", "traceback") if word in shown]


@pytest.mark.parametrize("path", ["/v1/voices/1", "/v1/voices/none", "/v1/nothing", "/v1/voices/a%2Fb"])
async def test_a_browser_may_do_nothing_with_an_answer(edge: Edge, path: str) -> None:
    answer = await edge.get(path)

    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in answer.headers


BEFORE_THE_HEAD = {
    "an escaped slash": (b"GET /v1/voices/a%2Fb HTTP/1.1\r\n" + HOST + b"\r\n", 400, "MALFORMED_REQUEST"),
    "an escaped NUL": (b"GET /v1/voices/a%00b HTTP/1.1\r\n" + HOST + b"\r\n", 400, "MALFORMED_REQUEST"),
    "an underscore": (
        b"GET /v1/voices HTTP/1.1\r\n" + HOST + b"x_voicemesh_user: eve\r\n\r\n",
        400,
        "MALFORMED_REQUEST",
    ),
    "no host": (b"GET /v1/voices HTTP/1.1\r\n\r\n", 400, "MALFORMED_REQUEST"),
    "no HTTP": (b"\x16\x03\x01\x00\xa5\x01\r\n\r\n", 400, "MALFORMED_REQUEST"),
    "two lengths": (
        b"POST /v1/auth:login HTTP/1.1\r\n"
        + HOST
        + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "MALFORMED_REQUEST",
    ),
    "65 headers": (
        b"GET /v1/voices HTTP/1.1\r\n" + HOST + b"".join(b"x-%d: 1\r\n" % number for number in range(64)) + b"\r\n",
        431,
        "HEADERS_TOO_LARGE",
    ),
    "17 KiB of headers": (
        b"GET /v1/voices HTTP/1.1\r\n" + HOST + b"x-long: " + b"x" * 17 * 1024 + b"\r\n\r\n",
        431,
        "HEADERS_TOO_LARGE",
    ),
    "a path of 17 KiB": (b"GET /v1/" + b"x" * 17 * 1024 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 431, "HEADERS_TOO_LARGE"),
}


@pytest.mark.parametrize(("sent", "status", "why"), BEFORE_THE_HEAD.values(), ids=BEFORE_THE_HEAD)
async def test_what_is_refused_unread_has_an_id_that_the_log_knows(
    edge: Edge, sent: bytes, status: int, why: str
) -> None:
    answer = await talk(edge, sent)

    assert answer.status_code == status
    assert reason(answer) == why
    assert answer.json()["message"]
    assert (await edge.logged(answer.headers["x-request-id"]))["status"] == status


async def test_64_headers_and_a_long_one_are_taken(edge: Edge) -> None:
    headers = {**{f"x-{number}": "1" for number in range(40)}, "x-long": "x" * 14_000}

    answers = [await edge.get("/v1/voices/1", headers=headers) for _ in range(20)]

    assert {answer.status_code for answer in answers} == {200}


async def test_a_head_that_comes_too_slowly_is_given_up(impatient: Edge) -> None:
    answer = await talk(impatient, b"GET /v1/voices HTTP/1.1\r\n", *[b"x: y\r\n"] * 100, pause=0.1)

    assert answer.status_code == 408
    assert reason(answer) == "REQUEST_TOO_SLOW"
    assert (await impatient.logged(answer.headers["x-request-id"]))["details"] == "request_header_timeout"


def head(edge: Edge, path: str) -> bytes:
    """The head of a request whose body is announced to be long."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in edge.bearer().items())]
    return "\r\n".join(lines).encode() + b"\r\n" + HOST + b"content-type: audio/wav\r\ncontent-length: 1000\r\n\r\n"


@pytest.mark.parametrize("path", ["/v1/voices", "/v1/files"], ids=["message", "upload"])
async def test_a_body_that_does_not_come_is_given_up(impatient: Edge, path: str) -> None:
    answer = await talk(impatient, head(impatient, path))

    assert answer.status_code == 408
    assert reason(answer) == "REQUEST_TOO_SLOW"
    assert (await impatient.logged(answer.headers["x-request-id"]))["details"] == "stream_idle_timeout"


async def test_a_message_that_trickles_in_is_given_up_and_an_upload_is_not(impatient: Edge) -> None:
    pieces = [b" " * 40] * 25
    message = await talk(impatient, head(impatient, "/v1/voices"), *pieces, pause=0.2)
    upload = await talk(impatient, head(impatient, "/v1/files"), *pieces, pause=0.2)

    assert message.status_code == 408
    assert (await impatient.logged(message.headers["x-request-id"]))["details"] == "max_duration_timeout"
    assert upload.status_code == 200
    assert upload.json()["size_bytes"] == "1000"


async def test_a_silent_watch_is_ended_and_has_no_deadline(impatient: Edge) -> None:
    impatient.voice.release.clear()
    async with impatient.http() as client, client.stream("GET", "/v1/voices/1:watch") as response:
        lines = response.aiter_lines()
        first = await anext(lines)
        seen = impatient.seen.remaining
        async with asyncio.timeout(20):
            with pytest.raises(httpx.RemoteProtocolError):  # The stub is silent, and this edge takes that for a second.
                [line async for line in lines]

    assert "PENDING" in first
    assert seen is None


async def test_the_deadline_of_a_streaming_call_is_its_caller_s(edge: Edge) -> None:
    edge.voice.release.set()
    async with edge.grpc() as channel:
        stub = voice_pb2_grpc.VoiceServiceStub(channel)
        watch = stub.WatchVoice(voice_pb2.WatchVoiceRequest(name="voices/1"), metadata=edge.metadata(), timeout=100)
        [each async for each in watch]

    assert edge.seen.remaining is not None
    assert 90 < edge.seen.remaining < 101
