"""REST by transcoding: shapes of answers and errors, deadlines, streams, uploads."""

from __future__ import annotations

import base64
import json

import grpc
import pytest
from google.rpc import code_pb2
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc
from voicemesh.voice.v1 import voice_pb2, voice_pb2_grpc

from tests.envoy.edge import Edge


async def test_fields_keep_their_names_and_zeros_are_there(edge: Edge) -> None:
    voice = (await edge.get("/v1/voices/1")).json()
    page = (await edge.get("/v1/voices")).json()

    assert voice["name"] == "voices/1"
    assert voice["state"] == "PROCESSING"
    assert voice["progress_percent"] == 0
    assert "failure" not in voice
    assert page == {"voices": [], "next_page_token": ""}


MALFORMED = {
    "unknown query parameter": ("GET", "/v1/voices?bogus=1", None, 400, 3),
    "wrong type in the query": ("GET", "/v1/voices?page_size=many", None, 400, 3),
    "bad JSON": ("POST", "/v1/voices", b'{"display_name":', 400, 3),
    "wrong type in the body": ("POST", "/v1/voices", b'{"display_name": {}}', 400, 3),
    "not JSON": ("POST", "/v1/voices", b"\x00\xff", 400, 3),
    "a rule of the contract": ("POST", "/v1/voices", b'{"description": "x"}', 400, 3),
    "an empty body": ("POST", "/v1/voices", b"", 400, 3),
    "a number out of range": ("GET", "/v1/voices?page_size=-1", None, 400, 3),
    "an escaped slash": ("GET", "/v1/users/a%2Fb", None, 400, 3),
    "unknown path": ("GET", "/v1/nothing", None, 404, 5),
    "unknown verb": ("PUT", "/v1/voices/1", None, 404, 5),
    "root": ("GET", "/", None, 404, 5),
    "JSON to a gRPC path": ("POST", "/voicemesh.voice.v1.VoiceService/GetVoice", b"{}", 404, 5),
    "too large a body": ("POST", "/v1/voices", b'{"description":"' + b"x" * 5_000_000 + b'"}', 413, 8),
}


@pytest.mark.parametrize(("verb", "path", "body", "status", "code"), MALFORMED.values(), ids=MALFORMED)
async def test_every_error_is_a_status(edge: Edge, verb: str, path: str, body, status: int, code: int) -> None:
    async with edge.http() as client:
        for headers in ({}, {"content-type": "application/json"}):
            response = await client.request(verb, path, content=body, headers=headers)

            assert response.status_code == status
            assert response.headers["content-type"] == "application/json"
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.json()["code"] == code
            assert response.json()["message"]
            assert isinstance(response.json()["details"], list)


async def test_too_many_headers_are_refused_in_the_same_shape(edge: Edge) -> None:
    response = await edge.get("/v1/voices", headers={"x-big": "x" * 50_000})

    assert response.status_code == 431
    assert response.json()["details"][0]["reason"] == "HEADERS_TOO_LARGE"


async def test_a_refusal_of_a_service_arrives_with_its_details(edge: Edge) -> None:
    response = await edge.get("/v1/voices/none")
    busy = await edge.get("/v1/voices/busy")

    assert response.status_code == 404
    assert response.json()["code"] == code_pb2.NOT_FOUND
    assert response.json()["details"] == [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "VOICE_NOT_FOUND",
            "domain": "voicemesh",
            "metadata": {"name": "voices/none"},
        }
    ]
    assert (busy.status_code, busy.headers["retry-after"]) == (429, "7")
    assert busy.json()["details"][1]["retry_delay"] == "7s"


async def test_a_failure_of_ours_says_where_to_look(edge: Edge) -> None:
    response = await edge.get("/v1/voices/broken")

    assert (response.status_code, response.json()["code"]) == (500, 13)
    assert response.json()["details"][0]["metadata"]["request_id"] == response.headers["x-request-id"]


async def test_every_answer_names_its_request_and_clients_cannot(edge: Edge) -> None:
    answers = [await edge.get(path, headers={"x-request-id": "mine"}) for path in ("/v1/voices/1", "/v1/nothing")]
    seen = edge.seen.metadata["x-request-id"]

    ids = [answer.headers["x-request-id"] for answer in answers]
    assert ids[0] == seen
    assert len(set(ids)) == 2
    assert "mine" not in ids


async def test_rest_shows_no_headers_of_grpc_and_grpc_keeps_them(edge: Edge) -> None:
    good, bad = await edge.get("/v1/voices/1"), await edge.get("/v1/voices/none")
    async with edge.grpc() as channel:
        stub = voice_pb2_grpc.VoiceServiceStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await stub.GetVoice(voice_pb2.GetVoiceRequest(name="voices/none"), metadata=edge.metadata())

    assert not [name for answer in (good, bad) for name in answer.headers if name.startswith(("grpc-", "x-envoy"))]
    assert raised.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_service_sees_a_deadline_over_rest_and_grpc(edge: Edge) -> None:
    await edge.get("/v1/voices/1")
    over_rest = edge.seen.remaining
    async with edge.grpc() as channel:
        stub = voice_pb2_grpc.VoiceServiceStub(channel)
        await stub.GetVoice(voice_pb2.GetVoiceRequest(name="voices/1"), metadata=edge.metadata())
        unset = edge.seen.remaining
        await stub.GetVoice(voice_pb2.GetVoiceRequest(name="voices/1"), metadata=edge.metadata(), timeout=5)
        own = edge.seen.remaining

    assert over_rest is not None
    assert 20 < over_rest < 31
    assert unset is not None
    assert 20 < unset < 31
    assert own is not None
    assert 0 < own < 6


async def test_a_watch_is_server_sent_events_as_they_happen(edge: Edge) -> None:
    edge.voice.release.clear()
    events = []
    async with edge.http() as client, client.stream("GET", "/v1/voices/1:watch") as response:
        async for line in response.aiter_lines():
            if line:
                events.append(json.loads(line.removeprefix("data: ")))
                edge.voice.release.set()  # Only after the first event is here do the others come.

    assert response.headers["content-type"] == "text/event-stream"
    assert events[0]["voice"]["state"] == "PENDING"
    assert events[1:] == [{"keep_alive": True}, {"error": {"code": 14, "message": "stopping", "details": []}}]
    assert edge.seen.remaining is None


async def test_a_watch_that_cannot_begin_is_an_error(edge: Edge) -> None:
    response = await edge.get("/v1/voices/none:watch")

    assert response.status_code == 404
    assert response.json()["details"][0]["reason"] == "VOICE_NOT_FOUND"


@pytest.mark.parametrize("size", [0, 1, 100_000, 30_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_an_upload_is_streamed_whatever_its_size(edge: Edge, size: int, chunked: bool) -> None:
    async def pieces():
        for start in range(0, size, 65_536):
            yield b"x" * min(65_536, size - start)

    async with edge.http() as client:
        response = await client.post(
            "/v1/files?display_name=a%20b.flac",
            content=pieces() if chunked else b"x" * size,
            headers={"content-type": "audio/flac"},
        )

    assert response.status_code == 200
    assert response.json()["size_bytes"] == str(size)
    assert response.json()["display_name"] == "a b.flac"
    assert response.json()["content_type"] == "audio/flac"
    assert max(edge.seen.pieces, default=0) <= 1024 * 1024
    assert edge.seen.remaining is None


async def test_a_native_upload_is_streamed_too(edge: Edge) -> None:
    async def pieces():
        for _ in range(40):
            yield storage_pb2.UploadFileRequest(content={"content_type": "audio/wav", "data": b"x" * 1_000_000})

    async with edge.grpc() as channel:
        file = await storage_pb2_grpc.StorageServiceStub(channel).UploadFile(pieces(), metadata=edge.metadata())

    assert file.size_bytes == 40_000_000


async def test_a_download_is_bytes_with_their_type(edge: Edge) -> None:
    response = await edge.get("/v1/files/1:download")
    missing = await edge.get("/v1/files/none:download")

    assert response.headers["content-type"] == "audio/flac"
    assert len(response.content) == 10_001_000
    assert missing.status_code == 404
    assert missing.json()["details"][0]["reason"] == "FILE_NOT_FOUND"


async def test_speech_is_bytes_with_their_type(edge: Edge) -> None:
    async with edge.http() as client:
        response = await client.post("/v1/voices/1:speak", json={"text": "Hello"})

    assert response.headers["content-type"] == "audio/wav"
    assert response.content == b"RIFFHello"


async def test_the_log_has_who_and_what_but_no_query_and_no_credential(edge: Edge) -> None:
    response = await edge.get("/v1/voices?page_token=secret")
    line = await edge.logged(response.headers["x-request-id"])

    assert line["user"] == "ada"
    assert line["path"] == "/v1/voices"
    assert line["route"] == "VoiceService.ListVoices"
    assert isinstance(line["milliseconds"], int)
    assert "secret" not in edge.log.read_text()
    assert "earer" not in edge.log.read_text()


async def test_what_only_reads_is_sent_again_when_a_service_is_not_available(edge: Edge) -> None:
    before = edge.seen.calls
    edge.seen.calls += before % 2  # The stub answers every other time.

    response = await edge.get("/v1/voices/flaky")

    assert response.status_code == 200
    assert (await edge.logged(response.headers["x-request-id"]))["attempts"] == 2


async def test_audio_says_in_its_headers_what_speaks(edge: Edge) -> None:
    async with edge.http() as client:
        response = await client.post("/v1/voices/1:speak", json={"text": "Hello"})

    assert response.headers["x-voicemesh-engine"] == "kokoro-v1"
    assert response.headers["x-voicemesh-level"] == "STUDIO"


async def test_speech_with_timestamps_is_a_stream_of_events(edge: Edge) -> None:
    async with edge.http() as client:
        response = await client.post("/v1/voices/1:speakWithTimestamps", json={"text": "Hello"})
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.splitlines() if line]

    assert response.headers["content-type"].startswith("text/event-stream")
    assert [base64.b64decode(event["audio"]) for event in events] == [b"RIFF", b"more"]
    assert events[0]["words"] == [
        {"text": "Hello", "text_start": 0, "text_end": 5, "end_offset": "0.500s"},
    ]


async def test_timestamps_of_a_speech_lie_below_it(edge: Edge) -> None:
    assert (await edge.get("/v1/speeches/7/timestamps")).json() == {"name": "speeches/7/timestamps", "words": []}


async def test_too_large_a_body_is_never_passed_on(edge: Edge) -> None:
    calls = edge.seen.calls
    async with edge.http() as client:
        body = b'{"description":"' + b"x" * 5_000_000 + b'"}'
        answers = [await client.post("/v1/voices", content=body) for _ in range(20)]

    assert {answer.status_code for answer in answers} == {413}
    assert edge.seen.calls == calls
