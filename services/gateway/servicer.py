"""Envoy's question in, one check, Envoy's answer out."""

from __future__ import annotations

import base64
from functools import lru_cache

import grpc
from google.protobuf import json_format, struct_pb2
from google.rpc import code_pb2, status_pb2
from voicemesh.gateway.v1 import external_auth_pb2, external_auth_pb2_grpc

from services.gateway.checks import Checks, Request
from services.gateway.tokens import Claims
from services.mesh import errors, identity, status
from services.mesh.interceptors import Context

CheckResponse = external_auth_pb2.CheckResponse
OVERWRITE = external_auth_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD

_HTTP = {errors.Unauthenticated: 401, errors.NotFound: 404}


class AuthorizationServicer(external_auth_pb2_grpc.AuthorizationServicer):
    """envoy.service.auth.v3.Authorization"""

    def __init__(self, checks: Checks) -> None:
        self._checks = checks

    async def Check(self, request: external_auth_pb2.CheckRequest, context: Context) -> CheckResponse:
        if identity.peer(context) != identity.EDGE:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "only Envoy may ask")
        http = request.attributes.request.http
        native = http.headers.get("content-type", "").startswith("application/grpc")
        address = request.attributes.source.address.socket_address.address
        try:
            claims = await self._checks.check(Request(http.method, http.path, http.headers.get("authorization")))
            return allowed(claims, address)
        except errors.Unavailable as error:
            # No decision: Envoy answers in its own words, and refuses.
            await status.abort(context, status.to_proto(error))
        except (errors.Unauthenticated, errors.NotFound) as error:
            return denied(error, native=native)


@lru_cache(maxsize=1024)
def allowed(claims: Claims | None, address: str) -> CheckResponse:
    """Lets the request pass, with who is calling and from where; what clients say of that themselves, Envoy has
    removed.

    `address` is that of the connection, in which nothing that a client sends is believed.
    """
    from_where = _header(identity.ADDRESS, address)
    if claims is None:
        return CheckResponse(ok_response=external_auth_pb2.OkHttpResponse(headers=[from_where]))
    said = {identity.USER: claims.user, identity.SESSION: claims.session, identity.SCOPES: claims.scope}
    metadata = struct_pb2.Struct()
    metadata["user"] = claims.user
    return CheckResponse(
        ok_response=external_auth_pb2.OkHttpResponse(
            headers=[from_where, *(_header(key, value) for key, value in said.items())],
            headers_to_remove=["authorization"],
        ),
        dynamic_metadata=metadata,
    )


def denied(error: errors.Unauthenticated | errors.NotFound, *, native: bool) -> CheckResponse:
    """The refusal: for gRPC as status and trailers, of which Envoy makes the message from the body; else as JSON."""
    refusal = status.to_proto(error)
    headers = []
    if isinstance(error, errors.Unauthenticated):
        missing = error.reason == "CREDENTIALS_MISSING"
        headers.append(_header("www-authenticate", "Bearer" if missing else 'Bearer error="invalid_token"'))
    if native:
        if refusal.code == code_pb2.NOT_FOUND:
            refusal.code = code_pb2.UNIMPLEMENTED  # As for any method that does not exist.
        headers.append(_header("grpc-status", str(refusal.code)))
        headers.append(_header("grpc-status-details-bin", base64.b64encode(refusal.SerializeToString()).decode()))
        body = refusal.message
    else:
        headers.append(_header("content-type", "application/json"))
        body = json_format.MessageToJson(
            refusal, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
        )
    return CheckResponse(
        status=status_pb2.Status(code=refusal.code),
        denied_response=external_auth_pb2.DeniedHttpResponse(
            status=external_auth_pb2.HttpStatus(code=_HTTP[type(error)]), headers=headers, body=body
        ),
    )


def _header(key: str, value: str) -> external_auth_pb2.HeaderValueOption:
    return external_auth_pb2.HeaderValueOption(
        header=external_auth_pb2.HeaderValue(key=key, value=value), append_action=OVERWRITE
    )
