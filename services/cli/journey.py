"""What an ordinary client does over REST: nothing here knows more of the mesh than its address."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import httpx
from httpx_sse import aconnect_sse

SECONDS = 60.0


class Refused(Exception):
    """The platform refused, for the reason in the message."""


class Journey:
    """One person's way: register, sign in, upload, learn, speak. `say` is told of each step and its time.

    `own` says that the mesh is on this machine, so that no proxy stands between.
    """

    def __init__(self, address: str, say: Callable[[str], None], *, own: bool) -> None:
        # A proxy in the environment is not for a mesh of our own, on this machine.
        self._client = httpx.AsyncClient(base_url=address, timeout=SECONDS, trust_env=not own)
        self._say = say

    async def __aenter__(self) -> Journey:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def sign_in(self) -> None:
        """Registers a new account and signs in with its password."""
        started = time.monotonic()
        account = {"email": f"demo-{secrets.token_hex(6)}@example.com", "password": secrets.token_urlsafe(16)}
        await self._post("/v1/auth:register", json=account)
        session = await self._post("/v1/auth:login", json=account)
        self._client.headers["authorization"] = f"Bearer {session['access_token']}"
        self._told("signed in", session["user"], started)

    async def upload(self, name: str, recording: bytes) -> str:
        """Uploads a recording as a form, as a browser would; gives its resource name."""
        started = time.monotonic()
        file = await self._post("/v1/files", files={"file": (name, recording)})
        self._told(
            "uploaded", f"{file['name']}, {file['content_type']}, {int(file['size_bytes']) / 1024:.0f} KiB", started
        )
        return str(file["name"])

    async def learn(self, file: str, name: str, consent: str) -> str:
        """Has a voice learned and watches it come along; gives its resource name."""
        started = time.monotonic()
        voice = await self._post(
            "/v1/voices",
            json={
                "display_name": name[:100],
                "recordings": [file],
                "consent": {"statement": consent, "given_by": "whoever runs this demo"},
                # Nobody waits here for the minutes that it takes.
                "refinement_depth": "NONE",
            },
        )
        path = f"/v1/{voice['name']}:watch"
        timeout = httpx.Timeout(SECONDS, read=None)
        async with aconnect_sse(self._client, "GET", path, timeout=timeout) as events:
            async for event in events.aiter_sse():
                said = json.loads(event.data)
                if "error" in said:
                    raise Refused(said["error"]["message"])
                if "voice" in said:
                    voice = said["voice"]
                    percent = int(voice.get("progress_percent", 0))
                    self._say(f"learning  {percent:3d} % {voice['state']} {voice.get('stage', '')}".rstrip())
        if voice["state"] != "READY":
            failure = voice.get("failure", {})
            raise Refused(f"the voice could not be learned: {failure.get('message', voice['state'])}")
        self._told("learned", voice["name"], started)
        for note in voice.get("report", {}).get("notes", []):
            self._say(f"          {note['code']}: {note['message']}")
        return str(voice["name"])

    async def speak(self, voice: str, text: str) -> bytes:
        """Speaks a text; gives the audio as a WAV file."""
        started, first = time.monotonic(), 0.0
        audio = bytearray()
        async with self._client.stream("POST", f"/v1/{voice}:speak", json={"text": text}) as response:
            if response.is_error:
                await response.aread()
                raise _refused(response)
            async for piece in response.aiter_bytes():
                first = first or time.monotonic() - started
                audio += piece
        self._told("spoke", f"first audio after {first:.1f} s", started)
        return bytes(audio)

    async def _post(self, path: str, **content: Any) -> dict[str, Any]:
        response = await self._client.post(path, **content)
        if response.is_error:
            raise _refused(response)
        answer: dict[str, Any] = response.json()
        return answer

    def _told(self, step: str, what: str, started: float) -> None:
        self._say(f"{step:9s} {what} ({time.monotonic() - started:.1f} s)")


def _refused(response: httpx.Response) -> Refused:
    try:
        message = response.json()["message"]
    except (ValueError, KeyError):
        message = response.text
    return Refused(f"{response.request.method} {response.request.url.path}: {response.status_code}: {message}")
