"""What Envoy itself answers, in the form of the contracts (google.rpc.Status), when no service is asked.

A gRPC caller gets it as status, message and details; everyone else as JSON. What the gateway says in
a refusal, and what services answer, is not touched.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

from google.protobuf import json_format
from google.rpc import code_pb2, error_details_pb2, status_pb2

from services.mesh.status import DOMAIN

ENVOYS_OWN = "%LOCAL_REPLY_BODY%"
"""Stands for Envoy's own words, where they help: what is wrong with a JSON body, for instance."""


@dataclass(frozen=True)
class Reply:
    """An answer of Envoy's, told by its HTTP status."""

    http: int
    """The status, or the lowest of those above."""
    code: int
    reason: str
    message: str
    grpc_code: int | None = None
    """Where gRPC has another word for it."""
    retry_seconds: int = 0
    """After how long trying again makes sense; 0 if it does not."""
    op: str = "EQ"
    details: str = ""
    """Envoy's own reason (%RESPONSE_CODE_DETAILS%), where the status says too little."""

    def to_proto(self, code: int) -> status_pb2.Status:
        """The answer with this code and its details."""
        status = status_pb2.Status(code=code, message=self.message)
        status.details.add().Pack(error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN))
        if self.retry_seconds:
            retry = error_details_pb2.RetryInfo()
            retry.retry_delay.FromSeconds(self.retry_seconds)
            status.details.add().Pack(retry)
        return status

    @property
    def json(self) -> dict[str, object]:
        """The body for REST."""
        return json_format.MessageToDict(
            self.to_proto(self.code), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )

    @property
    def trailers(self) -> dict[str, str]:
        """The trailers for gRPC, besides the message."""
        code = self.code if self.grpc_code is None else self.grpc_code
        trailers = {"grpc-status": str(code)}
        if self.message != ENVOYS_OWN:  # Clients refuse details whose message is not that of the call.
            details = base64.b64encode(self.to_proto(code).SerializeToString(deterministic=True))
            trailers["grpc-status-details-bin"] = details.decode()
        return trailers


REPLIES = (
    Reply(
        400,
        code_pb2.INVALID_ARGUMENT,
        "MALFORMED_REQUEST",
        "the path is malformed: an escaped slash, for instance",
        details="path_normalization_failed",
    ),
    Reply(
        400,
        code_pb2.INVALID_ARGUMENT,
        "MALFORMED_REQUEST",
        "the request names no host",
        details="missing_host_header",
    ),
    Reply(400, code_pb2.INVALID_ARGUMENT, "MALFORMED_REQUEST", ENVOYS_OWN),
    Reply(401, code_pb2.UNAUTHENTICATED, "CREDENTIALS_MISSING", "sign in first: send an access token"),
    Reply(403, code_pb2.PERMISSION_DENIED, "REFUSED", "this request is refused"),
    Reply(404, code_pb2.NOT_FOUND, "NO_SUCH_METHOD", "nothing is served here", grpc_code=code_pb2.UNIMPLEMENTED),
    Reply(405, code_pb2.UNIMPLEMENTED, "NO_SUCH_METHOD", "this verb is not served here"),
    Reply(408, code_pb2.DEADLINE_EXCEEDED, "REQUEST_TOO_SLOW", "the request took too long to come in"),
    Reply(413, code_pb2.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", "the body is too large"),
    Reply(429, code_pb2.RESOURCE_EXHAUSTED, "RATE_LIMITED", "too many requests; slow down", retry_seconds=1),
    Reply(431, code_pb2.RESOURCE_EXHAUSTED, "HEADERS_TOO_LARGE", "the headers are too large"),
    Reply(502, code_pb2.UNAVAILABLE, "UNAVAILABLE", "a part of the platform does not answer", retry_seconds=1),
    Reply(503, code_pb2.UNAVAILABLE, "UNAVAILABLE", "a part of the platform does not answer", retry_seconds=1),
    Reply(504, code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "this took longer than it may take"),
    Reply(500, code_pb2.INTERNAL, "INTERNAL", "internal error", op="GE"),
    Reply(400, code_pb2.INVALID_ARGUMENT, "MALFORMED_REQUEST", ENVOYS_OWN, op="GE"),
)
"""The first that fits is given."""
