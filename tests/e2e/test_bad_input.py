"""Bad input over REST and over gRPC: the same refusal, in the shape of each; and good input that looks odd."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import av
import grpc
import httpx
import numpy as np
import pytest
from google.api import httpbody_pb2
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc
from voicemesh.user.v1 import user_pb2, user_pb2_grpc
from voicemesh.voice.v1 import speech_pb2, speech_pb2_grpc, voice_pb2, voice_pb2_grpc

from services.mesh import names
from services.mesh.status import reason
from tests.e2e.conftest import CAP, CONSENT, SAMPLE, Person

MODULES = {
    "auth": (auth_pb2, auth_pb2_grpc.AuthServiceStub),
    "user": (user_pb2, user_pb2_grpc.UserServiceStub),
    "storage": (storage_pb2, storage_pb2_grpc.StorageServiceStub),
    "voice": (voice_pb2, voice_pb2_grpc.VoiceServiceStub),
    "speech": (speech_pb2, speech_pb2_grpc.SpeechServiceStub),
}
NOBODY = f"voices/{names.new_id()}"


def details(answer: httpx.Response) -> tuple[int, str, list[str]]:
    """google.rpc code, ErrorInfo reason and the fields of the violations in a REST error."""
    status = answer.json()
    assert answer.headers["content-type"].startswith("application/json"), answer.text
    assert status["message"]
    kinds = {detail["@type"].rpartition(".")[2]: detail for detail in status.get("details", [])}
    fields = [each["field"] for each in kinds.get("BadRequest", {}).get("field_violations", [])]
    return status["code"], kinds.get("ErrorInfo", {}).get("reason", ""), fields


async def refusal(person: Person, service: str, method: str, request: dict[str, Any]) -> grpc.aio.AioRpcError:
    """What native gRPC says to the same request."""
    module, stub = MODULES[service]
    message: Message = ParseDict(request, getattr(module, f"{method}Request")())
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        call = getattr(stub(person.channel), method)(message, metadata=person.metadata, timeout=30)
        if hasattr(call, "__aiter__") and not hasattr(call, "__await__"):
            _ = [each async for each in call]
        else:
            await call
    return raised.value


LONG = "a" * 5001
TEXTS = [
    ("", "INVALID_FIELDS"),
    (LONG, "INVALID_FIELDS"),
    ("bell \u0007", "INVALID_FIELDS"),
    ("nul \u0000", "INVALID_FIELDS"),
    ("Доброе утро", "TEXT_UNSUPPORTED_SCRIPT"),
    ("おはよう", "TEXT_UNSUPPORTED_SCRIPT"),
    ("صباح الخير", "TEXT_UNSUPPORTED_SCRIPT"),
    ("🎉", "TEXT_EMPTY"),
]


@pytest.mark.parametrize(("text", "why"), TEXTS)
async def test_text_that_cannot_be_spoken(robin: tuple[Person, str], text: str, why: str) -> None:
    person, voice = robin

    at_once = await person.rest.post(f"/v1/{voice}:speak", json={"text": text})
    job = await person.rest.post("/v1/speeches", json={"voice": voice, "text": text * 20 if text == LONG else text})
    by_grpc = await refusal(person, "speech", "Speak", {"name": voice, "text": text})

    assert at_once.status_code == job.status_code == 400
    assert details(at_once) == (3, why, ["text"])
    assert details(job) == (3, why, ["speech.text"])
    assert (by_grpc.code(), reason(by_grpc)) == (grpc.StatusCode.INVALID_ARGUMENT, why)


@pytest.mark.parametrize("text", ["1" * 37, "1," * 40, "Point ①A of the list.", "All well. ①Mr.", "A. " * 60])
async def test_odd_text_is_spoken_and_the_engine_survives_it(robin: tuple[Person, str], text: str) -> None:
    person, name = robin

    answer = await person.rest.post(f"/v1/{name}:speak", json={"text": text, "audio_config": {"speed": 2}})

    assert answer.status_code == 200
    assert len(answer.content) > 24000


async def test_emoji_in_a_text_are_passed_over(robin: tuple[Person, str]) -> None:
    person, voice = robin

    answer = await person.rest.post(f"/v1/{voice}:speak", json={"text": "Well done 🎉 my friend 😀!"})

    assert answer.status_code == 200
    assert len(answer.content) > 24000


UPLOADS = {
    "empty": (b"", "FILE_EMPTY"),
    "text called wav": (b"This is no sound at all. " * 100, "NOT_AUDIO"),
    "zeros": (bytes(10000), "NOT_AUDIO"),
    "half a header": (SAMPLE.read_bytes()[:30], "NOT_AUDIO"),
    "over the cap": (SAMPLE.read_bytes() + bytes(CAP), "FILE_TOO_LARGE"),
}


@pytest.mark.parametrize("what", UPLOADS)
async def test_uploads_that_are_refused(ada: Person, what: str) -> None:
    content, why = UPLOADS[what]

    async def pieces() -> AsyncIterator[storage_pb2.UploadFileRequest]:
        for start in range(0, max(1, len(content)), 1 << 20):
            body = httpbody_pb2.HttpBody(data=content[start : start + (1 << 20)])
            yield storage_pb2.UploadFileRequest(content=body, display_name="x.wav")

    form = await ada.upload(content, "x.wav")
    raw = await ada.rest.post("/v1/files?display_name=x.wav", content=content)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await storage_pb2_grpc.StorageServiceStub(ada.channel).UploadFile(pieces(), metadata=ada.metadata)

    assert form.status_code == raw.status_code == 400
    assert details(form)[:2] == details(raw)[:2] == (3, why)
    assert (raised.value.code(), reason(raised.value)) == (grpc.StatusCode.INVALID_ARGUMENT, why)
    assert (await ada.rest.get("/v1/files")).json().get("files", []) == []


def voice(**changes: Any) -> dict[str, Any]:
    """A creation that lacks nothing but an existing recording."""
    whole = {"display_name": "Robin", "recordings": [f"files/{names.new_id()}"], "consent": CONSENT}
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


CREATIONS = {
    "nothing": ({}, 400, "INVALID_FIELDS"),
    "no consent": (voice(consent=None), 400, "INVALID_FIELDS"),
    "an empty consent": (voice(consent={"statement": "", "given_by": ""}), 400, "INVALID_FIELDS"),
    "no recordings": (voice(recordings=[]), 400, "INVALID_FIELDS"),
    "eleven recordings": (voice(recordings=[f"files/{n}" for n in range(11)]), 400, "INVALID_FIELDS"),
    "a recording twice": (voice(recordings=["files/1", "files/1"]), 400, "INVALID_FIELDS"),
    "a path as a recording": (voice(recordings=["files/../../etc/passwd"]), 400, "INVALID_FIELDS"),
    "a name of 101 characters": (voice(display_name="x" * 101), 400, "INVALID_FIELDS"),
    "a name with a line end": (voice(display_name="x\ny"), 400, "INVALID_FIELDS"),
    "a missing recording": (voice(), 404, "RECORDING_NOT_FOUND"),
}


@pytest.mark.parametrize("what", CREATIONS)
async def test_voices_that_cannot_be_created(ada: Person, what: str) -> None:
    body, status, why = CREATIONS[what]

    answer = await ada.rest.post("/v1/voices", json=body)
    by_grpc = await refusal(ada, "voice", "CreateVoice", {"voice": body})

    assert answer.status_code == status
    assert details(answer)[1] == reason(by_grpc) == why
    assert details(answer)[0] == by_grpc.code().value[0]


async def test_bad_json_wrong_types_and_unknown_parameters_are_refused(ada: Person) -> None:
    answers = [
        await ada.rest.post("/v1/voices", content=b'{"display_name": '),
        await ada.rest.post("/v1/voices", content=b"\xff\xfe"),
        await ada.rest.post("/v1/voices", json=[1, 2]),
        await ada.rest.post("/v1/voices", json={"display_name": 5}),
        await ada.rest.post("/v1/voices", json={"recordings": "files/x"}),
        await ada.rest.post("/v1/auth:login", json={"email": {"a": 1}, "password": "long enough"}),
        await ada.rest.get("/v1/voices?page_size=many"),
        await ada.rest.get("/v1/voices?unknown=1"),
        await ada.rest.get("/v1/files?purpose=BOGUS"),
    ]

    assert [answer.status_code for answer in answers] == [400] * len(answers)
    assert {details(answer)[0] for answer in answers} == {3}


async def test_characters_that_cannot_be_stored_are_refused(ada: Person) -> None:
    nul = "a\u0000b"
    answers = [
        await ada.rest.post("/v1/auth:login", json={"email": nul, "password": "long enough"}),
        await ada.rest.post("/v1/auth:register", json={"email": nul, "password": "long enough"}),
        await ada.rest.patch("/v1/users/me", json={"display_name": nul}),
        await ada.rest.patch("/v1/users/me", json={"bio": nul}),
        await ada.rest.patch("/v1/users/me", json={"etag": nul, "bio": "x"}),
        await ada.rest.patch("/v1/users/me/preferences", json={"etag": nul}),
        await ada.rest.patch("/v1/users/me/preferences", json={"default_voice": f"voices/{nul}"}),
        await ada.rest.post("/v1/voices", json=voice(description=nul)),
        await ada.rest.post("/v1/voices", json=voice(consent={"statement": nul, "given_by": "Robin"})),
        await ada.rest.get("/v1/files", params={"page_token": nul}),
    ]

    assert [answer.status_code for answer in answers] == [400] * len(answers)
    assert {details(answer)[0] for answer in answers} == {3}


async def test_an_unknown_field_of_a_json_body_is_ignored(ada: Person) -> None:
    answer = await ada.rest.patch("/v1/users/me", json={"display_name": "Ada", "favourite_colour": "green"})

    assert answer.status_code == 200
    assert answer.json()["display_name"] == "Ada"


async def test_bytes_that_are_no_message_are_the_callers_mistake(ada: Person) -> None:
    call = ada.channel.unary_unary(
        "/voicemesh.voice.v1.VoiceService/GetVoice", request_serializer=bytes, response_deserializer=bytes
    )

    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(b"\xff\xff\xff\xff", metadata=ada.metadata)

    assert (raised.value.code(), reason(raised.value)) == (grpc.StatusCode.INVALID_ARGUMENT, "MALFORMED_REQUEST")


@pytest.mark.parametrize(
    ("verb", "path", "service", "method"),
    [
        ("GET", "/v1/{voice}", "voice", "GetVoice"),
        ("DELETE", "/v1/{voice}", "voice", "DeleteVoice"),
        ("POST", "/v1/{voice}:cancel", "voice", "CancelVoice"),
        ("POST", "/v1/{voice}:retry", "voice", "RetryVoice"),
        ("GET", "/v1/{voice}:watch", "voice", "WatchVoice"),
    ],
)
async def test_a_foreign_voice_and_a_missing_one_look_the_same(
    robin: tuple[Person, str], eve: Person, verb: str, path: str, service: str, method: str
) -> None:
    _, hers = robin
    body = {"json": {}} if verb == "POST" else {}

    for name in (hers, NOBODY, "voices/nonsense"):
        answer = await eve.rest.request(verb, path.format(voice=name), **body)
        by_grpc = await refusal(eve, service, method, {"name": name})
        assert answer.status_code == 404
        assert details(answer)[:2] == (5, "VOICE_NOT_FOUND")
        assert (by_grpc.code(), reason(by_grpc)) == (grpc.StatusCode.NOT_FOUND, "VOICE_NOT_FOUND")


async def test_a_foreign_voice_does_not_speak_and_a_foreign_file_does_not_come(
    robin: tuple[Person, str], eve: Person
) -> None:
    person, hers = robin
    file = (await person.rest.get("/v1/files")).json()["files"][0]["name"]

    answers = [
        await eve.rest.post(f"/v1/{hers}:speak", json={"text": "Hello there."}),
        await eve.rest.post("/v1/speeches", json={"voice": hers, "text": "Hello there."}),
        await eve.rest.get(f"/v1/{file}"),
        await eve.rest.get(f"/v1/{file}:download"),
        await eve.rest.delete(f"/v1/{file}"),
        await eve.rest.post("/v1/voices", json=voice(recordings=[file])),
        await eve.rest.get(f"/v1/{person.session['user']}"),
    ]

    assert [answer.status_code for answer in answers] == [404] * len(answers)
    assert {details(answer)[0] for answer in answers} == {5}
    assert (await person.rest.get(f"/v1/{file}")).status_code == 200


async def test_a_page_token_of_another_user_or_list_is_refused(ada: Person, eve: Person) -> None:
    for _ in range(2):
        await ada.upload(SAMPLE.read_bytes())
    token = (await ada.rest.get("/v1/files?page_size=1")).json()["next_page_token"]

    answers = [
        await eve.rest.get("/v1/files", params={"page_token": token}),
        await ada.rest.get("/v1/voices", params={"page_token": token}),
        await ada.rest.get("/v1/files", params={"page_token": "made up"}),
    ]
    by_grpc = await refusal(eve, "storage", "ListFiles", {"page_token": token})

    assert [details(answer) for answer in answers] == [(3, "BAD_PAGE_TOKEN", ["page_token"])] * 3
    assert reason(by_grpc) == "BAD_PAGE_TOKEN"
    assert (await ada.rest.get("/v1/files", params={"page_token": token})).status_code == 200


async def test_a_request_id_used_again_with_other_content(robin: tuple[Person, str]) -> None:
    person, name = robin
    id = {"request_id": str(uuid.uuid4())}
    body = {"voice": name, "text": "One and the same."}

    first = await person.rest.post("/v1/speeches", params=id, json=body)
    again = await person.rest.post("/v1/speeches", params=id, json=body)
    other = await person.rest.post("/v1/speeches", params=id, json={**body, "text": "Another."})
    by_grpc = await refusal(person, "speech", "CreateSpeech", {"speech": {**body, "text": "A third."}, **id})
    no_uuid = await person.rest.post("/v1/speeches?request_id=7", json=body)

    assert again.json()["name"] == first.json()["name"]
    assert details(other) == (3, "REQUEST_ID_REUSED", ["request_id"])
    assert reason(by_grpc) == "REQUEST_ID_REUSED"
    assert details(no_uuid) == (3, "INVALID_FIELDS", ["request_id"])


async def test_a_password_over_72_bytes_is_refused_and_never_cut(ada: Person) -> None:
    body = {"email": "long@example.org", "password": "ü" * 37}

    answer = await ada.rest.post("/v1/auth:register", json=body)
    by_grpc = await refusal(ada, "auth", "Register", body)

    assert details(answer) == (3, "INVALID_FIELDS", ["password"])
    assert reason(by_grpc) == "INVALID_FIELDS"
    assert "ü" not in answer.text


def recording(
    seconds: float, *, container: str, codec: str, rate: int, gain: float = 1.0, stereo: bool = False
) -> bytes:
    """The sample, again and again, in another form."""
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(str(SAMPLE)) as source:
        frames = [out for frame in source.decode(audio=0) for out in resampler.resample(frame)]
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames])
    samples = np.clip(np.resize(samples, int(seconds * rate)) * gain, -1, 1).astype(np.float32)
    layout = "stereo" if stereo else "mono"
    planar = np.stack([samples, samples * 0.6]) if stereo else samples[np.newaxis]
    into = io.BytesIO()
    with av.open(into, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        converter = av.AudioResampler(format=stream.format.name, layout=layout, rate=rate, frame_size=stream.frame_size)
        frame = av.AudioFrame.from_ndarray(planar, format="fltp", layout=layout)
        frame.sample_rate = rate
        for each in [*converter.resample(frame), *converter.resample(None)]:
            output.mux(stream.encode(each))
        output.mux(stream.encode(None))
    return into.getvalue()


@pytest.mark.parametrize(
    ("form", "notes"),
    [
        ({"container": "ipod", "codec": "aac", "rate": 44100, "stereo": True}, {"STEREO_MIXED_DOWN"}),
        ({"container": "wav", "codec": "pcm_s16le", "rate": 8000, "gain": 3.0}, {"CLIPPED", "NARROWBAND"}),
        ({"container": "webm", "codec": "libopus", "rate": 48000}, set()),
    ],
)
async def test_odd_recordings_are_learned_from_and_noted(ada: Person, form: dict[str, Any], notes: set[str]) -> None:
    created = await ada.create(recording(11, **form))

    ready = (await ada.watch(created["name"]))[-1]["voice"]

    assert ready["state"] == "READY", ready
    assert notes <= {note["code"] for note in ready["report"].get("notes", [])}


@pytest.mark.parametrize(
    ("why", "content"),
    [
        ("TOO_SHORT", lambda: recording(2, container="flac", codec="flac", rate=16000)),
        ("SILENT", lambda: recording(9, container="flac", codec="flac", rate=16000, gain=0.0)),
        ("TRUNCATED", lambda: recording(9, container="ogg", codec="libopus", rate=48000)[:-9000]),
        ("CLIPPED_BADLY", lambda: recording(11, container="wav", codec="pcm_s16le", rate=8000, gain=6.0)),
        ("TOO_LONG", lambda: recording(605, container="mp3", codec="libmp3lame", rate=16000)),
    ],
)
async def test_recordings_that_cannot_be_learned_from_say_why(ada: Person, why: str, content: Any) -> None:
    created = await ada.create(content())

    failed = (await ada.watch(created["name"]))[-1]["voice"]
    by_grpc = await voice_pb2_grpc.VoiceServiceStub(ada.channel).GetVoice(
        voice_pb2.GetVoiceRequest(name=created["name"]), metadata=ada.metadata
    )

    assert failed["state"] == "FAILED"
    assert failed["failure"]["reason"] == by_grpc.failure.reason == why
    assert failed["failure"]["message"]


async def test_errors_never_show_our_insides(ada: Person) -> None:
    answers = [
        await ada.rest.get("/v1/voices/" + "x" * 64),
        await ada.rest.post("/v1/voices", content=b"{"),
        await ada.rest.get("/v1/files/%00"),
        await ada.rest.get("/v1/files/..%2f..%2fetc%2fpasswd"),
    ]

    for answer in answers:
        assert 400 <= answer.status_code < 500
        text = json.dumps(answer.json())
        assert not any(word in text for word in ("Traceback", "services/", "psycopg", "SELECT", ".py"))
