"""Whoever says of themselves who they are is not believed, by whichever way they come in."""

from __future__ import annotations

import base64
import re
import struct
from pathlib import Path

import httpx
import pytest

from services.gateway import surface
from services.local.envoy import STRIPPED
from services.mesh import identity
from services.mesh.contracts import Access
from tests.issuer import Issuer
from tests.security import asking, calls, tokens
from tests.security.calls import Headers
from tests.security.people import Person, registered
from tests.security.test_matrix import CLOSED, ENTRIES, KEPT_AS_WORDS, OPEN, Call, shown

SOURCES = Path(__file__).parents[2] / "services"
OURS = {name for path in SOURCES.rglob("*.py") for name in re.findall(r"\"(x-[a-z0-9-]+)\"", path.read_text("utf-8"))}
"""Every `x-…` that the services know, a new one included."""
OTHERS = {
    "x-forwarded-user",
    "x-auth-request-user",
    "x-remote-user",
    "x-user",
    "x-authenticated-userid",
    "x-forwarded-client-cert",
    "x-spiffe-id",
    "x-envoy-internal",
    "x-original-uri",
    "x-original-url",
    "x-rewrite-url",
    "x-http-method-override",
    "remote-user",
    "forwarded",
}
"""What other meshes and proxies believe."""
PUBLIC_PATH = "/v1/auth:login"


def claiming(who: Person) -> Headers:
    """Every header that could say that the caller is that person, and may do everything."""
    user = who.session["user"].removeprefix("users/")
    said = dict.fromkeys(OURS | OTHERS, user)
    said |= {identity.SESSION: "1", identity.SCOPES: "*", "x-envoy-internal": "true"}
    said |= {name: PUBLIC_PATH for name in said if "path" in name or "ur" in name.rsplit("-")[-1]}
    said |= {name: "POST" for name in said if "method" in name}
    said["x-forwarded-client-cert"] = "By=spiffe://voicemesh/voice;URI=spiffe://voicemesh/envoy"
    said.pop(identity.REQUEST_ID, None)
    return tuple(said.items())


def test_the_identity_headers_are_among_them_and_envoy_takes_them_away() -> None:
    named = {value for value in vars(identity).values() if isinstance(value, str) and value.startswith("x-voicemesh-")}

    assert {identity.USER, identity.SESSION, identity.SCOPES} <= named
    assert named <= OURS
    assert named <= set(STRIPPED)


@pytest.mark.parametrize(("method", "call"), ENTRIES)
async def test_without_a_credential_it_changes_nothing(method: surface.Method, call: Call, ada: Person) -> None:
    answer = await call(ada, ada.names, claiming(ada))

    assert answer.code != 0 or method.rule.access == Access.PUBLIC
    assert answer.reason == "CREDENTIALS_MISSING" or method.rule.access == Access.PUBLIC
    assert answer.said[0] not in ("INTERNAL", "UNKNOWN")
    assert not shown(answer, ada)


@pytest.mark.parametrize(("method", "call"), [*CLOSED, *OPEN])
async def test_with_ones_own_it_gives_nothing_of_anybody_elses(
    method: surface.Method, call: Call, ada: Person, eve: Person
) -> None:
    named = asking.targets(method)
    who = eve if named else await registered(eve.rest, eve.channel)  # It may be the end of their session.
    credential = who.bearer if method.rule.access == Access.AUTHENTICATED else ()

    answer = await call(who, ada.names if named else eve.names, (*credential, *claiming(ada)))

    if named.keys() - KEPT_AS_WORDS:
        assert answer.said[0] == "NOT_FOUND"
    assert not shown(answer, ada, named=ada.names.values())


@pytest.mark.parametrize(("method", "call"), CLOSED)
async def test_nobody_gives_themselves_a_scope(method: surface.Method, call: Call, issuer: Issuer, ada: Person) -> None:
    for lacks in method.rule.scopes:
        token = tokens.lacking(issuer, ada, method.rule.scopes, lacks)
        answer = await call(ada, ada.names, (("authorization", f"Bearer {token}"), *claiming(ada)))

        assert answer.said == ("PERMISSION_DENIED", "SCOPE_MISSING")


@pytest.mark.parametrize(
    "name", ["X-VoiceMesh-User", "x_voicemesh_user", "x-voicemesh_user", " x-voicemesh-user", "x-voicemesh-user "]
)
async def test_other_spellings_are_not_believed_either(rest: httpx.AsyncClient, ada: Person, name: str) -> None:
    user = ada.session["user"].removeprefix("users/").encode()
    request = rest.build_request("GET", "/v1/users/me", headers=[(name.encode(), user)])
    try:
        response = await rest.send(request)
    except httpx.LocalProtocolError:
        pytest.skip("this client does not send such a name; test_smuggling does, by hand")

    assert response.status_code in (400, 401)


async def test_a_header_named_in_connection_is_not_lost_on_its_way(rest: httpx.AsyncClient, eve: Person) -> None:
    """A client may not have Envoy's own headers taken away by calling them hop-by-hop (RFC 9110, section 7.6.1)."""
    hop = {"connection": f"keep-alive, {identity.USER}, {identity.SCOPES}"}

    response = await rest.get("/v1/users/me", headers={**dict(eve.bearer), **hop})

    assert response.status_code in (400, 401) or response.json()["name"] == eve.session["user"]


async def test_over_grpc_web(rest: httpx.AsyncClient, ada: Person, eve: Person) -> None:
    path = "/voicemesh.user.v1.UserService/GetUser"
    method = next(each for each in asking.SHOWN.methods if each.path == path)
    message = asking.request(method, {"users/*": "users/me"}).SerializeToString()
    frame = struct.pack(">BI", 0, len(message)) + message
    for kind, body in (
        ("application/grpc-web+proto", frame),
        ("application/grpc-web-text+proto", base64.b64encode(frame)),
    ):
        headers = {"content-type": kind, "accept": kind, "x-grpc-web": "1", **dict(claiming(ada))}
        anonymous = await rest.post(path, content=body, headers=headers)
        known = await rest.post(path, content=body, headers={**headers, **dict(eve.bearer)})
        got = known.content if "text" not in kind else base64.b64decode(known.content + b"==")

        assert anonymous.headers["grpc-status"] == "16"
        assert ada.email.encode() not in got
        assert eve.email.encode() in got


async def test_in_the_query_or_in_a_cookie(rest: httpx.AsyncClient, ada: Person) -> None:
    token = ada.session["access_token"]

    answers = [
        await calls.send(rest, "GET", "/v1/users/me", params={"access_token": token}),
        await calls.send(rest, "GET", "/v1/users/me", params={identity.USER: ada.session["user"]}),
        await calls.send(
            rest, "GET", "/v1/users/me", headers={"cookie": f"access_token={token}; authorization={token}"}
        ),
        await calls.send(rest, "GET", "/v1/users/me", headers={"proxy-authorization": f"Bearer {token}"}),
        await calls.send(rest, "GET", "/v1/users/me", headers={"authorization": f"Basic {token}"}),
    ]

    assert {answer.said[0] for answer in answers} == {"UNAUTHENTICATED"}


async def test_two_credentials_are_not_one(rest: httpx.AsyncClient, ada: Person, eve: Person) -> None:
    headers = [("authorization", "Bearer nonsense"), *eve.bearer, *ada.bearer]

    answer = await calls.send(rest, "GET", "/v1/users/me", headers=headers)

    assert answer.said[0] == "UNAUTHENTICATED"
