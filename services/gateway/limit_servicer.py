"""Envoy's question whether a call is one too many in, one count, Envoy's answer out."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import grpc
from google.protobuf import json_format
from voicemesh.gateway.v1 import rate_limit_pb2, rate_limit_pb2_grpc

from services.gateway.limits import Call, Limits, Standing
from services.mesh import errors, identity, status
from services.mesh.interceptors import Context

Response = rate_limit_pb2.RateLimitResponse

USER, KEY, METHOD, REST = "user", "key", "method", "rest"
"""What Envoy tells of a call (envoy/envoy.yaml.j2)."""


class RateLimitServicer(rate_limit_pb2_grpc.RateLimitServiceServicer):
    """envoy.service.ratelimit.v3.RateLimitService"""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    async def ShouldRateLimit(self, request: rate_limit_pb2.RateLimitRequest, context: Context) -> Response:
        if identity.peer(context) != identity.EDGE:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "only Envoy may ask")
        told = {entry.key: entry.value for descriptor in request.descriptors for entry in descriptor.entries}
        call = Call(user=told[USER], key=told.get(KEY, ""), method=told[METHOD].partition("?")[0])
        count = await self._limits.count(call)
        response = Response(
            overall_code=Response.OVER_LIMIT if count.refusal else Response.OK,
            statuses=[Response.DescriptorStatus(code=Response.OVER_LIMIT if count.refusal else Response.OK)],
            response_headers_to_add=fields(count.standings),
        )
        if count.refusal is not None:
            refuse(response, count.refusal, rest=REST in told)
        return response


def fields(standings: Sequence[Standing]) -> list[Response.HeaderValue]:
    """What the caller may know of the limits (draft-ietf-httpapi-ratelimit-headers-10)."""
    if not standings:
        return []
    policies = ", ".join(
        f'"{each.policy.name}";q={each.policy.rate.calls};w={each.policy.rate.seconds}' for each in standings
    )
    now = ", ".join(f'"{each.policy.name}";r={each.remaining};t={each.reset_seconds}' for each in standings)
    return [
        Response.HeaderValue(key="ratelimit-policy", value=policies),
        Response.HeaderValue(key="ratelimit", value=now),
    ]


def refuse(response: Response, refusal: errors.ResourceExhausted, *, rest: bool) -> None:
    """Makes the answer a refusal: for gRPC with a message and trailers, else as JSON."""
    answer = status.to_proto(refusal)
    headers = {"retry-after": f"{refusal.retry_after:.0f}"}
    if rest:
        body = json_format.MessageToJson(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
        )
    else:
        headers["grpc-status-details-bin"] = base64.b64encode(answer.SerializeToString()).decode()
        body = refusal.message
    response.raw_body = body.encode()
    response.response_headers_to_add.extend(
        Response.HeaderValue(key=key, value=value) for key, value in headers.items()
    )
