"""One call over REST or over gRPC to a method of which only the descriptor is known, and what came of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio
import httpx
from google.api import httpbody_pb2
from google.protobuf import json_format
from google.protobuf.message import Message

from services.gateway import surface
from services.mesh import status
from tests.security import asking

SECONDS = 60
ENOUGH = 64 * 1024
"""How much of an answer that streams is read."""

_HEAD = {400: 3, 401: 16, 403: 7, 404: 5, 413: 8, 429: 8}

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Answer:
    """What came of a call, over whichever protocol."""

    code: int
    """The gRPC code, 0 for success."""
    reason: str
    text: str
    """Everything that was answered, as text."""
    http: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def said(self) -> tuple[str, str]:
        """Code and reason by name: `("NOT_FOUND", "VOICE_NOT_FOUND")`."""
        return next(each.name for each in grpc.StatusCode if each.value[0] == self.code), self.reason


async def by_grpc(
    channel: grpc.aio.Channel, method: surface.Method, request: Message | bytes, headers: Headers = ()
) -> Answer:
    """Over native gRPC, as bytes, so that nothing of the client library checks them."""
    data = request if isinstance(request, bytes) else request.SerializeToString()
    message = _once(data) if method.request_streaming else data
    kind = f"{'stream' if method.request_streaming else 'unary'}_{'stream' if method.response_streaming else 'unary'}"
    try:
        call = getattr(channel, kind)(method.path)(message, metadata=headers, timeout=SECONDS)
        if not method.response_streaming:
            return Answer(0, "", repr(await call))
        got = b""
        async for piece in call:
            got += piece
            if len(got) > ENOUGH:
                break
        call.cancel()
        return Answer(0, "", repr(got[:ENOUGH]))
    except grpc.aio.AioRpcError as error:
        details = error.details() or ""
        trailers = tuple(error.trailing_metadata() or ()) + tuple(error.initial_metadata() or ())
        return Answer(error.code().value[0], status.reason(error), f"{details} {trailers}")


async def _once(data: bytes) -> Any:
    yield data


async def by_rest(
    client: httpx.AsyncClient, method: surface.Method, verb: str, path: str, request: Message, headers: Headers = ()
) -> Answer:
    """Over REST, by one of the method's routes."""
    url, query, content = rest(method, verb, path, request)
    return await send(client, verb, url, params=query, headers=list(headers), **content)


async def send(client: httpx.AsyncClient, verb: str, url: str, **options: Any) -> Answer:
    """Any request over HTTP, and its answer, or as much of it as is needed where it streams."""
    async with client.stream(verb, url, **options) as response:
        text = ""
        try:
            async for piece in response.aiter_text():
                text += piece
                if len(text) > ENOUGH or response.headers.get("content-type", "").startswith("text/event-stream"):
                    break
        except UnicodeDecodeError:
            pass  # Audio.
    if verb == "HEAD" and response.status_code in _HEAD:  # It has no body to say more.
        return Answer(_HEAD[response.status_code], "", text, response.status_code, dict(response.headers))
    return read(response.status_code, dict(response.headers), text)


def read(http: int, headers: dict[str, str], text: str) -> Answer:
    """An HTTP answer as a gRPC code and a reason."""
    if http < 400:
        return Answer(0, "", text, http, headers)
    try:
        body = json.loads(text)
        details = body.get("details", [])
        reason = next((each["reason"] for each in details if each["@type"].endswith("ErrorInfo")), "")
        return Answer(body["code"], reason, text, http, headers)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Answer(grpc.StatusCode.UNKNOWN.value[0], "NO_STATUS_IN_BODY", text, http, headers)


def rest(
    method: surface.Method, verb: str, path: str, request: Message
) -> tuple[str, list[tuple[str, str]], dict[str, Any]]:
    """Path, query and body of a request, as google.api.http says (google/api/http.proto)."""
    said = plain(request)
    url = path
    for variable, template in asking.bound(path).items():
        url = url.replace(f"{{{variable}={template}}}", quote(_take(said, variable.split(".")), safe="/"))
    which = asking.body(method, verb, path)
    if which == "*":
        return url, [], {"json": said}
    content: dict[str, Any] = {}
    if which:
        part = getattr(request, which)
        whole = said.pop(which, {})
        content = {"content": part.data} if isinstance(part, httpbody_pb2.HttpBody) else {"json": whole}
    return url, list(_query(said)), content


def plain(message: Message) -> dict[str, Any]:
    """A message as JSON has it; of one that cannot be JSON, what can."""
    try:
        return dict(json_format.MessageToDict(message, preserving_proto_field_name=True))
    except (json_format.Error, TypeError, ValueError):
        fields = [(field.name, value) for field, value in message.ListFields() if not field.is_repeated]
        return {name: plain(value) if isinstance(value, Message) else _scalar(value) for name, value in fields}


def _scalar(value: Any) -> Any:
    return repr(value) if isinstance(value, bytes | float) else value


def _take(said: dict[str, Any], path: list[str]) -> str:
    first, *below = path
    return _take(said.get(first, {}), below) if below else str(said.pop(first, ""))


def _query(said: dict[str, Any], prefix: str = "") -> Any:
    for name, value in said.items():
        if isinstance(value, dict):
            yield from _query(value, f"{prefix}{name}.")
        else:
            for each in value if isinstance(value, list) else [value]:
                yield prefix + name, str(each).lower() if isinstance(each, bool) else str(each)
