"""The one table from domain errors to gRPC, and the way back."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf import duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.mesh import errors

DOMAIN = "voicemesh"
"""`ErrorInfo.domain` of every error (AIP-193)."""

CODES: dict[type[errors.MeshError], grpc.StatusCode] = {
    errors.InvalidArgument: grpc.StatusCode.INVALID_ARGUMENT,
    errors.Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    errors.PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    errors.NotFound: grpc.StatusCode.NOT_FOUND,
    errors.AlreadyExists: grpc.StatusCode.ALREADY_EXISTS,
    errors.FailedPrecondition: grpc.StatusCode.FAILED_PRECONDITION,
    errors.Aborted: grpc.StatusCode.ABORTED,
    errors.ResourceExhausted: grpc.StatusCode.RESOURCE_EXHAUSTED,
    errors.Unavailable: grpc.StatusCode.UNAVAILABLE,
    errors.DeadlineExceeded: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def to_proto(error: errors.MeshError) -> status_pb2.Status:
    """The error as google.rpc.Status with ErrorInfo, BadRequest and RetryInfo."""
    status = status_pb2.Status(code=CODES[type(error)].value[0], message=error.message)
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=error.metadata)
    status.details.add().Pack(info)
    if error.violations:
        violations = [
            error_details_pb2.BadRequest.FieldViolation(field=violation.field, description=violation.description)
            for violation in error.violations
        ]
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=violations))
    if error.retry_after is not None:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(error.retry_after * 1e9))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def internal(request_id: str) -> status_pb2.Status:
    """What a caller gets to see of a failure of ours: where to look for it, and nothing else."""
    status = status_pb2.Status(code=code_pb2.INTERNAL, message="internal error")
    status.details.add().Pack(
        error_details_pb2.ErrorInfo(reason="INTERNAL", domain=DOMAIN, metadata={"request_id": request_id})
    )
    return status


async def abort(context: grpc.aio.ServicerContext[Any, Any], status: status_pb2.Status) -> NoReturn:
    """Ends the call with `status`; a RetryInfo also becomes the trailer `retry-after`, in whole seconds."""
    answer = rpc_status.to_status(status)
    retry = error_details_pb2.RetryInfo()
    for detail in status.details:
        if detail.Unpack(retry):
            seconds = max(1, -(-retry.retry_delay.ToMilliseconds() // 1000))
            trailers = (*answer.trailing_metadata, ("retry-after", str(seconds)))
            answer = answer._replace(trailing_metadata=trailers)  # type: ignore[attr-defined]  # a namedtuple
    await context.abort_with_status(answer)
    raise AssertionError("abort_with_status does not return")


def of(error: grpc.RpcError) -> status_pb2.Status:
    """The google.rpc.Status that a sibling answered with, made up from code and message where it sent none."""
    status = rpc_status.from_call(error) if isinstance(error, grpc.aio.AioRpcError) else None  # type: ignore[arg-type]
    if status is not None:
        return status
    code: grpc.StatusCode = error.code()
    return status_pb2.Status(code=code.value[0], message=error.details() or "")


def reason(error: grpc.RpcError | status_pb2.Status) -> str:
    """`ErrorInfo.reason`, or the empty string."""
    return str(info(error).reason)


def info(error: grpc.RpcError | status_pb2.Status) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo of an error, or an empty one."""
    status = error if isinstance(error, status_pb2.Status) else of(error)
    found = error_details_pb2.ErrorInfo()
    return next((found for detail in status.details if detail.Unpack(found)), found)
