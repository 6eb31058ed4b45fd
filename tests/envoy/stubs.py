"""Small services of our real contracts, to stand behind a real Envoy."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc
from google.api import httpbody_pb2
from google.protobuf import empty_pb2
from google.rpc import code_pb2, status_pb2
from voicemesh.auth.v1 import auth_pb2, auth_pb2_grpc
from voicemesh.storage.v1 import storage_pb2, storage_pb2_grpc
from voicemesh.user.v1 import user_pb2, user_pb2_grpc
from voicemesh.voice.v1 import speech_pb2, speech_pb2_grpc, voice_pb2, voice_pb2_grpc

from services.mesh import errors
from services.mesh.identity import caller
from services.mesh.interceptors import Context
from tests.issuer import Issuer


@dataclass
class Seen:
    """What the stubs were asked, last of all."""

    metadata: dict[str, str] = field(default_factory=dict)
    remaining: float | None = None
    calls: int = 0
    pieces: list[int] = field(default_factory=list)

    def note(self, context: Context) -> None:
        self.metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        self.remaining = context.time_remaining()
        self.calls += 1


class Auth(auth_pb2_grpc.AuthServiceServicer):
    """Publishes the keys of an issuer."""

    def __init__(self, issuer: Issuer, seen: Seen) -> None:
        self._issuer = issuer
        self._seen = seen

    async def GetJsonWebKeySet(self, request: auth_pb2.GetJsonWebKeySetRequest, context: Context):
        return auth_pb2.JsonWebKeySet(keys=self._issuer.published())

    async def Login(self, request: auth_pb2.LoginRequest, context: Context):
        self._seen.note(context)
        return auth_pb2.Session(user=f"users/{caller().user or 'nobody'}", token_type="Bearer")

    async def Logout(self, request: auth_pb2.LogoutRequest, context: Context):
        self._seen.note(context)
        return empty_pb2.Empty()


class User(user_pb2_grpc.UserServiceServicer):
    """Has the caller's profile."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def GetUser(self, request: user_pb2.GetUserRequest, context: Context):
        self._seen.note(context)
        return user_pb2.User(name=request.name, bio=caller().user)

    async def UpdateUser(self, request: user_pb2.UpdateUserRequest, context: Context):
        self._seen.note(context)
        return request.user


class Storage(storage_pb2_grpc.StorageServiceServicer):
    """Counts what is uploaded, and sends as much as is asked for."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def UploadFile(self, requests: AsyncIterator[storage_pb2.UploadFileRequest], context: Context):
        self._seen.note(context)
        self._seen.pieces = []
        name = kind = ""
        async for request in requests:
            name = name or request.display_name
            kind = kind or request.content.content_type
            self._seen.pieces.append(len(request.content.data))
        return storage_pb2.File(name="files/1", display_name=name, content_type=kind, size_bytes=sum(self._seen.pieces))

    async def DownloadFile(self, request: storage_pb2.DownloadFileRequest, context: Context):
        self._seen.note(context)
        if request.name == "files/none":
            raise errors.NotFound("FILE_NOT_FOUND", "there is no files/none", name="files/none")
        yield httpbody_pb2.HttpBody(content_type="audio/flac", data=b"a" * 1000)
        for _ in range(100):
            yield httpbody_pb2.HttpBody(data=b"b" * 100_000)


class Voice(voice_pb2_grpc.VoiceServiceServicer):
    """Voices whose names say what is wrong with them."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self.release = asyncio.Event()

    async def GetVoice(self, request: voice_pb2.GetVoiceRequest, context: Context):
        self._seen.note(context)
        match request.name.removeprefix("voices/"):
            case "none":
                raise errors.NotFound("VOICE_NOT_FOUND", "there is no voices/none", name="voices/none")
            case "busy":
                raise errors.ResourceExhausted("ENGINE_BUSY", "too much to do", retry_after=7)
            case "flaky" if self._seen.calls % 2:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "just now")
            case "broken":
                raise ZeroDivisionError
            case "slow":
                await self.release.wait()
        return voice_pb2.Voice(name=request.name, state=voice_pb2.Voice.PROCESSING)

    async def ListVoices(self, request: voice_pb2.ListVoicesRequest, context: Context):
        self._seen.note(context)
        return voice_pb2.ListVoicesResponse()

    async def CreateVoice(self, request: voice_pb2.CreateVoiceRequest, context: Context):
        self._seen.note(context)
        return request.voice

    async def DeleteVoice(self, request: voice_pb2.DeleteVoiceRequest, context: Context):
        self._seen.note(context)
        return empty_pb2.Empty()

    async def WatchVoice(self, request: voice_pb2.WatchVoiceRequest, context: Context):
        self._seen.note(context)
        if request.name == "voices/none":
            raise errors.NotFound("VOICE_NOT_FOUND", "there is no voices/none", name="voices/none")
        yield voice_pb2.WatchVoiceResponse(voice=voice_pb2.Voice(name=request.name, state=voice_pb2.Voice.PENDING))
        await self.release.wait()
        yield voice_pb2.WatchVoiceResponse(keep_alive=True)
        yield voice_pb2.WatchVoiceResponse(error=status_pb2.Status(code=code_pb2.UNAVAILABLE, message="stopping"))


class Speech(speech_pb2_grpc.SpeechServiceServicer):
    """Speaks two sentences."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    async def Speak(self, request: speech_pb2.SpeakRequest, context: Context):
        self._seen.note(context)
        await context.send_initial_metadata((("x-voicemesh-engine", "kokoro-v1"), ("x-voicemesh-level", "STUDIO")))
        yield httpbody_pb2.HttpBody(content_type="audio/wav", data=b"RIFF")
        yield httpbody_pb2.HttpBody(data=request.text.encode())

    async def SpeakWithTimestamps(self, request: speech_pb2.SpeakWithTimestampsRequest, context: Context):
        self._seen.note(context)
        word = speech_pb2.Word(text=request.text, text_end=len(request.text), end_offset={"nanos": 500_000_000})
        yield speech_pb2.SpeakWithTimestampsResponse(audio=b"RIFF", content_type="audio/wav", words=[word])
        yield speech_pb2.SpeakWithTimestampsResponse(audio=b"more")

    async def GetSpeechTimestamps(self, request: speech_pb2.GetSpeechTimestampsRequest, context: Context):
        self._seen.note(context)
        return speech_pb2.SpeechTimestamps(name=request.name)
