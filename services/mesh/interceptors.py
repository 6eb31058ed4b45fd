"""What happens around every call, in one place: who is calling, whether the request keeps its
contract, how long it may take, what becomes of errors, and a line in the log.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import structlog
from google.protobuf.message import DecodeError, Message
from google.rpc import status_pb2

from services.mesh import deadlines, errors, identity, names, status, validation
from services.mesh.contracts import Rule

log: structlog.stdlib.BoundLogger = structlog.get_logger("call")

Context = grpc.aio.ServicerContext[Any, Any]
Handler = Any  # grpc.RpcMethodHandler, whose type stubs know only the synchronous shape of its functions


class Malformed:
    """Stands for a request that could not be read."""


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of our contracts; refuses a method that has no rule.

    `foreign` are the services whose contracts are not ours, such as health and reflection: any
    process of the mesh may call those, and no identity goes with them.
    """

    def __init__(self, rules: Mapping[str, Rule], *, foreign: frozenset[str], unary_seconds: float) -> None:
        self._rules = rules
        self._foreign = foreign
        self._unary_seconds = unary_seconds

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler:
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method.split("/")[1] in self._foreign:
            return handler
        rule = self._rules.get(method)
        if rule is None:
            return _refuse(method)
        limit = None if handler.request_streaming or handler.response_streaming else self._unary_seconds
        return _wrap(handler, lambda context: _around(rule, limit, context))


@asynccontextmanager
async def _around(rule: Rule, limit: float | None, context: Context) -> AsyncIterator[None]:
    """One call from its first byte to its log line."""
    started = time.perf_counter()
    metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
    request_id = metadata.get(identity.REQUEST_ID) or names.new_id()
    metadata[identity.REQUEST_ID] = request_id
    peer = identity.peer(context)
    seconds = _seconds(context, limit)
    answer = "OK"
    structlog.contextvars.bind_contextvars(request_id=request_id)
    try:
        try:
            with identity.acting_for(identity.admit(rule, peer, metadata)), deadlines.within(seconds):
                async with asyncio.timeout(seconds):
                    yield
        except TimeoutError:
            raise errors.DeadlineExceeded("DEADLINE_EXCEEDED", "this took longer than it may take") from None
    except errors.MeshError as error:
        answer = error.reason
        await status.abort(context, status.to_proto(error))
    except (asyncio.CancelledError, GeneratorExit):
        answer = "CANCELLED"
        raise
    except grpc.aio.AbortError:
        answer = "ABORTED"
        raise
    except Exception as error:
        answer = "INTERNAL"
        log.exception("call failed", method=rule.method)
        await status.abort(context, _unexpected(error, request_id))
    finally:
        log.info(
            "call",
            method=rule.method,
            peer=peer,
            user=metadata.get(identity.USER, ""),
            answer=answer,
            milliseconds=round((time.perf_counter() - started) * 1000, 1),
        )
        structlog.contextvars.unbind_contextvars("request_id")


def _seconds(context: Context, limit: float | None) -> float | None:
    """How long the call may take: what its caller waits for, and `limit` at most."""
    asked = context.time_remaining()
    waits = [each for each in (asked, limit) if each is not None]
    return min(waits, default=None)


def _unexpected(error: Exception, request_id: str) -> status_pb2.Status:
    if isinstance(error, grpc.aio.AioRpcError) and error.code() in (
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    ):
        sibling = errors.Unavailable("DEPENDENCY_UNAVAILABLE", "a part of the platform does not answer", retry_after=1)
        return status.to_proto(sibling)
    return status.internal(request_id)


def _wrap(handler: Handler, around: Callable[[Context], Any]) -> Handler:
    """The handler with `around` about it and its requests validated, in each of gRPC's four shapes."""
    codec = {
        "request_deserializer": _or_malformed(handler.request_deserializer),
        "response_serializer": handler.response_serializer,
    }

    async def checked(requests: AsyncIterator[Message]) -> AsyncIterator[Message]:
        async for request in requests:
            _check(request)
            yield request

    if handler.request_streaming and handler.response_streaming:
        raise TypeError("no contract of this mesh streams both ways")
    if handler.request_streaming:
        consume = handler.stream_unary

        async def stream_unary(requests: AsyncIterator[Message], context: Context) -> Message:
            async with around(context):
                response: Message = await consume(checked(requests), context)
                return response

        return grpc.stream_unary_rpc_method_handler(stream_unary, **codec)
    if handler.response_streaming:
        produce = handler.unary_stream

        # It writes, and does not yield: gRPC forgets a generator when the caller hangs up, which then ends in
        # another task, whose caller and deadline are not this call's.
        async def unary_stream(request: Message, context: Context) -> None:
            async with around(context):
                _check(request)
                async with aclosing(produce(request, context)) as responses:
                    async for response in responses:
                        await _write(response, context)

        return grpc.unary_stream_rpc_method_handler(unary_stream, **codec)
    answer = handler.unary_unary

    async def unary_unary(request: Message, context: Context) -> Message:
        async with around(context):
            _check(request)
            response: Message = await answer(request, context)
            return response

    return grpc.unary_unary_rpc_method_handler(unary_unary, **codec)


async def _write(response: Message, context: Context) -> None:
    try:
        await context.write(response)
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None  # The caller hung up, and gRPC has not got round to saying so.


def _or_malformed(deserialize: Callable[[bytes], Message]) -> Callable[[bytes], Message | Malformed]:
    """Bytes that are no message become a refusal to the caller; gRPC would call them an internal error."""

    def to_message(data: bytes) -> Message | Malformed:
        try:
            return deserialize(data)
        except DecodeError:
            return Malformed()

    return to_message


def _check(request: Message | Malformed) -> None:
    if isinstance(request, Malformed):
        raise errors.InvalidArgument("MALFORMED_REQUEST", "the request is not a message of this method")
    validation.check(request)


def _refuse(method: str) -> Handler:
    async def refuse(request: Message, context: Context) -> Message:
        log.error("method without an access rule", method=method)
        await status.abort(context, status.to_proto(errors.PermissionDenied("NO_ACCESS_RULE", "not for anyone")))

    return grpc.unary_unary_rpc_method_handler(refuse)
