"""The main job through the real Envoy: by REST, by native gRPC, and by grpcurl."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import secrets
import subprocess
import sysconfig
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import jwt
from google.api import httpbody_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc
from voicemesh.user.v1 import user_pb2, user_pb2_grpc
from voicemesh.voice.v1 import speech_pb2, speech_pb2_grpc, voice_pb2, voice_pb2_grpc

from services.local.mesh import Mesh
from tests.e2e.conftest import SAMPLE, Person

TEXT = "This sentence was never recorded. It is spoken all the same."
GRPCURL = Path(sysconfig.get_path("scripts")) / "grpcurl"


def seconds(audio: bytes) -> float:
    """How long a WAV stream or file lasts (16-bit mono)."""
    with wave.open(io.BytesIO(audio)) as sound:
        return (len(audio) - 44) / 2 / sound.getframerate()


async def test_the_journey_over_rest(ada: Person) -> None:
    recording = SAMPLE.read_bytes()
    file = (await ada.upload(recording)).json()
    created = await ada.create(recording)
    events = await ada.watch(created["name"])
    voice = events[-1]["voice"]
    spoken = await ada.rest.post(f"/v1/{voice['name']}:speak", json={"text": TEXT})
    speech = (
        await ada.rest.post(
            "/v1/speeches", json={"voice": voice["name"], "text": TEXT, "audio_config": {"format": "MP3"}}
        )
    ).json()
    finished = (await ada.watch(speech["name"]))[-1]["speech"]
    download = await ada.rest.get(f"/v1/{finished['audio']}:download")
    usage = (await ada.rest.get("/v1/users/me/usage")).json()
    receipt = await ada.rest.get(f"/v1/{spoken.headers['x-voicemesh-receipt']}")
    async with httpx.AsyncClient(base_url=ada.rest.base_url, trust_env=False) as nobody:
        changed = download.content[:-9] + b"something"
        verified = [
            (await nobody.post("/v1/audio:verify", content=each)).json()
            for each in (spoken.content, download.content, changed, recording)
        ]
        digest = hashlib.sha256(spoken.content).hexdigest()
        by_digest = (await nobody.get(f"/v1/audio:verifyDigest?sha256={digest}")).json()
        authority = (await nobody.get("/v1/provenance:authority")).json()

    assert [each["verdict"] for each in verified] == ["MADE_HERE", "MADE_HERE", "ALTERED", "UNKNOWN"]
    assert [each["voice"] for each in verified] == [voice["name"]] * 3 + [""]
    assert by_digest == verified[0]
    assert receipt.json()["token"] == by_digest["receipt"]
    assert verified[1]["receipt"] == finished["receipt"]
    assert authority["certificates"].startswith("-----BEGIN CERTIFICATE-----")
    assert file["sha256"] == hashlib.sha256(recording).hexdigest()
    assert file["content_type"] == "audio/flac"
    assert created["state"] == "PENDING"
    assert voice["state"] == "READY"
    assert voice["progress_percent"] == 100
    assert spoken.headers["content-type"] == "audio/wav"
    assert 2 < seconds(spoken.content) < 12
    assert finished["state"] == "READY"
    assert download.headers["content-type"] == "audio/mpeg"
    assert "attachment" in download.headers["content-disposition"]
    assert int(usage["characters"]) == 2 * len(TEXT)
    assert usage["voices_by_state"] == {"READY": "1"}
    assert int(usage["stored_files"]) == 3


async def test_a_refinement_over_rest(ada: Person) -> None:
    voice = (await ada.watch((await ada.create(SAMPLE.read_bytes()))["name"]))[-1]["voice"]
    words = (SAMPLE.parent / "speech.txt").read_text("utf-8")

    asked = await ada.rest.post(f"/v1/{voice['name']}:refine", json={"depth": "HIGH", "transcripts": [words]})
    again = await ada.rest.post(f"/v1/{voice['name']}:refine", json={})
    stopped = await ada.rest.post(f"/v1/{voice['name']}:cancelRefinement", json={})
    last = (await ada.watch(voice["name"], include_refinement="true"))[-1]["voice"]

    assert "refinement" not in voice or voice["refinement"] is None
    assert asked.status_code == 200, asked.text
    assert asked.json()["refinement"]["state"] == "PENDING"
    assert asked.json()["refinement"]["depth"] == "HIGH"
    assert asked.json()["transcripts"] == []
    assert again.json()["details"][0]["reason"] == "REFINEMENT_UNDER_WAY"
    assert stopped.json()["refinement"]["state"] == last["refinement"]["state"] == "CANCELLED"
    assert (last["state"], last["level"]) == ("READY", "INSTANT")


async def test_the_journey_over_native_grpc(running: Mesh) -> None:
    account = {"email": f"{secrets.token_hex(8)}@example.org", "password": secrets.token_urlsafe(12)}

    async def pieces() -> AsyncIterator[storage_pb2.UploadFileRequest]:
        content = SAMPLE.read_bytes()
        for start in range(0, len(content), 65536):
            data = content[start : start + 65536]
            yield storage_pb2.UploadFileRequest(content=httpbody_pb2.HttpBody(data=data), display_name="robin.flac")

    async with grpc.aio.insecure_channel(running.edge.removeprefix("http://")) as channel:
        auth = auth_pb2_grpc.AuthServiceStub(channel)
        session = await auth.Register(auth_pb2.RegisterRequest(**account))
        who = (("authorization", f"Bearer {session.access_token}"),)
        file = await storage_pb2_grpc.StorageServiceStub(channel).UploadFile(pieces(), metadata=who)
        voices = voice_pb2_grpc.VoiceServiceStub(channel)
        consent = voice_pb2.Consent(statement="I agree.", given_by="Robin")
        created = await voices.CreateVoice(
            voice_pb2.CreateVoiceRequest(
                voice=voice_pb2.Voice(display_name="Robin", recordings=[file.name], consent=consent)
            ),
            metadata=who,
        )
        watch = voices.WatchVoice(voice_pb2.WatchVoiceRequest(name=created.name), metadata=who, timeout=120)
        voice = [event async for event in watch][-1].voice
        call = speech_pb2_grpc.SpeechServiceStub(channel).Speak(
            speech_pb2.SpeakRequest(name=voice.name, text=TEXT), metadata=who, timeout=120
        )
        audio = b"".join([piece.data async for piece in call])
        user = await user_pb2_grpc.UserServiceStub(channel).GetUser(
            user_pb2.GetUserRequest(name="users/me"), metadata=who
        )

    assert file.display_name == "robin.flac"
    assert voice.state == voice_pb2.Voice.READY
    assert 2 < seconds(audio) < 12
    assert (user.name, user.email) == (session.user, account["email"])


async def test_the_journey_by_grpcurl_and_reflection_alone(running: Mesh) -> None:
    async def call(method: str, request: Any, *headers: str) -> list[dict[str, Any]]:
        arguments = [str(GRPCURL), "-plaintext", *(f"-H={header}" for header in headers), "-d", "@"]
        process = await asyncio.create_subprocess_exec(
            *arguments,
            running.edge.removeprefix("http://"),
            method,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        requests = request if isinstance(request, list) else [request]
        out, err = await process.communicate("\n".join(map(json.dumps, requests)).encode())
        assert process.returncode == 0, err
        decoder, text, found = json.JSONDecoder(), out.decode().strip(), []
        while text:
            value, end = decoder.raw_decode(text)
            found.append(value)
            text = text[end:].strip()
        return found

    account = {"email": f"{secrets.token_hex(8)}@example.org", "password": "a long password"}
    (session,) = await call("voicemesh.auth.v1.AuthService/Register", account)
    bearer = f"authorization: Bearer {session['access_token']}"
    content = base64.b64encode(SAMPLE.read_bytes()).decode()
    (file,) = await call("voicemesh.storage.v1.StorageService/UploadFile", [{"content": {"data": content}}], bearer)
    voice = {
        "display_name": "Robin",
        "recordings": [file["name"]],
        "consent": {"statement": "I agree.", "given_by": "Robin"},
    }
    (created,) = await call("voicemesh.voice.v1.VoiceService/CreateVoice", {"voice": voice}, bearer)
    events = await call("voicemesh.voice.v1.VoiceService/WatchVoice", {"name": created["name"]}, bearer)
    audio = await call(
        "voicemesh.voice.v1.SpeechService/Speak", {"name": created["name"], "text": "Hello from the shell."}, bearer
    )

    assert events[-1]["voice"]["state"] == "READY"
    assert seconds(b"".join(base64.b64decode(piece["data"]) for piece in audio)) > 0.8


async def test_sessions_refresh_and_end(ada: Person) -> None:
    refreshed = (await ada.rest.post("/v1/auth:refresh", json={"refresh_token": ada.session["refresh_token"]})).json()
    bearer = {"authorization": f"Bearer {refreshed['access_token']}"}
    logout = await ada.rest.post("/v1/auth:logout", json={}, headers=bearer)
    after = await ada.rest.post("/v1/auth:refresh", json={"refresh_token": refreshed["refresh_token"]})
    keys = (await ada.rest.get("/.well-known/jwks.json")).json()["keys"]
    kid = jwt.get_unverified_header(refreshed["access_token"])["kid"]

    assert logout.status_code == 200
    assert after.status_code == 401
    assert kid in [key["kid"] for key in keys]


async def test_profile_and_preferences(ada: Person) -> None:
    profile = (await ada.rest.get("/v1/users/me")).json()
    changed = await ada.rest.patch("/v1/users/me?update_mask=display_name", json={"display_name": "Ada", "bio": "no"})
    stale = await ada.rest.patch("/v1/users/me", json={"display_name": "Eve", "etag": profile["etag"]})
    preferences = (await ada.rest.patch("/v1/users/me/preferences", json={"language": "en-GB", "theme": "DARK"})).json()

    assert profile["name"] == ada.session["user"]
    assert (changed.json()["display_name"], changed.json().get("bio", "")) == ("Ada", "")
    assert stale.status_code == 409
    assert preferences["theme"] == "DARK"
    assert (await ada.rest.get("/v1/users/me/preferences")).json()["language"] == "en-GB"


async def test_every_answer_names_its_request(ada: Person) -> None:
    answers = [await ada.rest.get("/v1/voices"), await ada.rest.get("/v1/voices/nothing"), await ada.rest.get("/nope")]

    assert len({answer.headers["x-request-id"] for answer in answers}) == 3


async def test_a_file_goes_up_and_down_unchanged_in_both_ways(ada: Person) -> None:
    content = SAMPLE.read_bytes()
    raw = await ada.rest.post("/v1/files?display_name=raw.flac", content=content)
    form = await ada.upload(content, "../../etc/form.flac")
    downloads = [await ada.rest.get(f"/v1/{file.json()['name']}:download") for file in (raw, form)]
    listed = (await ada.rest.get("/v1/files?page_size=1")).json()
    deleted = await ada.rest.delete(f"/v1/{raw.json()['name']}")

    assert [each.content for each in downloads] == [content, content]
    assert (raw.json()["display_name"], form.json()["display_name"]) == ("raw.flac", "form.flac")
    assert listed["files"][0]["name"] == form.json()["name"]
    assert listed["next_page_token"]
    assert deleted.status_code == 200
    assert (await ada.rest.get(f"/v1/{raw.json()['name']}")).status_code == 404


async def test_without_a_credential_nothing_of_ours_answers(running: Mesh) -> None:
    async with httpx.AsyncClient(base_url=running.edge, trust_env=False) as nobody:
        forged = {"x-voicemesh-user": "00000000-0000-0000-0000-000000000000", "x-voicemesh-scopes": "*"}
        for path in ("/v1/voices", "/v1/files", "/v1/speeches", "/v1/users/me", "/v1/users/me/usage"):
            answer = await nobody.get(path, headers=forged)
            assert answer.status_code == 401
            assert answer.json()["code"] == 16
