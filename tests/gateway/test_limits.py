"""The rules of the rate limits, and the service that Envoy asks, over real mTLS gRPC."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.rpc import status_pb2
from pydantic import ValidationError
from voicemesh.gateway.v1 import rate_limit_pb2, rate_limit_pb2_grpc

from services.gateway.app import open_app
from services.gateway.counters import SharedCounter
from services.gateway.limits import Budget, Call, Limits, Policy, Rate
from services.gateway.settings import Settings
from services.mesh import status
from tests.peers import Served, served

Response = rate_limit_pb2.RateLimitResponse
READ = "/voicemesh.voice.v1.VoiceService/GetVoice"
SPEAK = "/voicemesh.voice.v1.SpeechService/Speak"
JWKS = "/voicemesh.auth.v1.AuthService/GetJsonWebKeySet"
YEAR = 360 * 24 * 3600
BUDGETS = {SPEAK: Budget.COSTLY, JWKS: Budget.FREE}
POLICIES = [
    Policy("user", Rate(6, YEAR)),
    Policy("user-costly", Rate(3, YEAR), costly=True),
    Policy("key", Rate(4, YEAR), of_key=True),
    Policy("key-costly", Rate(2, YEAR), costly=True, of_key=True),
]


async def refused_by(limits: Limits, user: str, method: str, key: str = "") -> str | None:
    """The limit that refuses a call."""
    refusal = (await limits.count(Call(user, key, method))).refusal
    return refusal.metadata["limit"] if refusal else None


@pytest.fixture
async def limits() -> Limits:
    return Limits(POLICIES, budgets=BUDGETS, counter=SharedCounter(None))


async def test_a_key_has_its_own_budget_within_that_of_its_user(limits: Limits) -> None:
    with_one = [await refused_by(limits, "ada", READ, "k1") for _ in range(5)]
    with_another = [await refused_by(limits, "ada", READ, "k2") for _ in range(3)]

    assert with_one == [None] * 4 + ["key"]
    assert with_another == [None, None, "user"]


async def test_costly_calls_count_twice_and_others_once(limits: Limits) -> None:
    costly = [await refused_by(limits, "ada", SPEAK, "k1") for _ in range(3)]
    without_key = [await refused_by(limits, "ada", SPEAK) for _ in range(2)]
    ordinary = [await refused_by(limits, "ada", READ) for _ in range(4)]

    assert costly == [None, None, "key-costly"]
    assert without_key == [None, "user-costly"]
    assert ordinary == [None, None, None, "user"]


async def test_what_is_free_is_not_counted(limits: Limits) -> None:
    assert [await refused_by(limits, "ada", JWKS) for _ in range(20)] == [None] * 20
    assert (await limits.count(Call("ada", "", JWKS))).standings == ()


async def test_a_method_that_is_not_known_counts_as_any(limits: Limits) -> None:
    assert [await refused_by(limits, "ada", "/no.such/Method") for _ in range(7)] == [None] * 6 + ["user"]


async def test_without_policies_nothing_is_refused() -> None:
    none = Limits([], budgets=BUDGETS, counter=SharedCounter(None))

    assert [await refused_by(none, "ada", SPEAK) for _ in range(20)] == [None] * 20


@pytest.mark.parametrize("rate", ["many", "0", "5", "5/fortnight"])
def test_a_rate_that_is_none_is_told(rate: str, certificates: dict[str, Path]) -> None:
    with pytest.raises(ValidationError, match="is no rate"):
        Settings(tls=certificates["gateway"], user_rate=rate)


@pytest.fixture(scope="module")
async def gateway(certificates: dict[str, Path]) -> AsyncIterator[Served]:
    settings = Settings(
        listen="127.0.0.1:0",
        tls=certificates["gateway"],
        auth_address="127.0.0.1:1",
        drain_seconds=0,
        user_rate="2/year",
        key_rate="1 per 1 year",
    )
    async with served("gateway", open_app, settings, certificates) as running:
        yield running


async def ask(gateway: Served, *, peer: str = "envoy", **told: str) -> Response:
    """What the gateway answers to Envoy."""
    entries = [{"key": key, "value": value} for key, value in told.items()]
    request = rate_limit_pb2.RateLimitRequest(domain="voicemesh", descriptors=[{"entries": entries}])
    async with gateway.channel(peer) as channel:
        return await rate_limit_pb2_grpc.RateLimitServiceStub(channel).ShouldRateLimit(request, timeout=20)


def headers(response: Response) -> dict[str, str]:
    return {header.key: header.value for header in response.response_headers_to_add}


async def test_the_answer_to_grpc_is_a_message_and_trailers(gateway: Served) -> None:
    first = await ask(gateway, user="ada", method=f"{READ}?x=1")
    await ask(gateway, user="ada", method=READ)
    refused = await ask(gateway, user="ada", method=READ)
    details = status_pb2.Status.FromString(base64.b64decode(headers(refused)["grpc-status-details-bin"]))

    assert first.overall_code == Response.OK
    assert not first.raw_body
    assert refused.overall_code == Response.OVER_LIMIT
    assert refused.raw_body.decode() == details.message
    assert status.reason(details) == "RATE_LIMITED"
    assert int(headers(refused)["retry-after"]) > 0


async def test_the_answer_to_rest_is_json(gateway: Served) -> None:
    for _ in range(2):
        await ask(gateway, user="bob", method=READ, rest="GET")
    refused = await ask(gateway, user="bob", method=READ, rest="GET")

    assert json.loads(refused.raw_body)["details"][0]["reason"] == "RATE_LIMITED"
    assert "grpc-status-details-bin" not in headers(refused)


async def test_a_key_is_counted_by_itself(gateway: Served) -> None:
    first = await ask(gateway, user="carol", key="k1", method=READ)
    again = await ask(gateway, user="carol", key="k1", method=READ)
    other = await ask(gateway, user="carol", key="k2", method=READ)

    assert headers(first)["ratelimit-policy"] == f'"key";q=1;w={YEAR}, "user";q=2;w={YEAR}'
    assert [each.overall_code for each in (first, again, other)] == [Response.OK, Response.OVER_LIMIT, Response.OK]


async def test_nobody_but_envoy_may_ask(gateway: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await ask(gateway, peer="voice", user="ada", method=READ)

    assert raised.value.code() == grpc.StatusCode.PERMISSION_DENIED
