"""Reflection, by which grpcurl and its like learn what a server offers, under both of its names.

Version 1 is word for word what v1alpha was (https://grpc.io/docs/guides/reflection); grpcio has only
the latter, so one implementation is served as both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc.aio
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc

V1 = "grpc.reflection.v1.ServerReflection"
V1ALPHA = "grpc.reflection.v1alpha.ServerReflection"


class _Symbols:
    """The default pool, which also finds the file of a method: grpcio asks only for what a file itself declares."""

    def __getattr__(self, name: str) -> Any:
        return getattr(descriptor_pool.Default(), name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:
        """The file in which a message, an enum, a service or a method stands."""
        try:
            return descriptor_pool.Default().FindFileContainingSymbol(symbol)
        except KeyError:
            return descriptor_pool.Default().FindMethodByName(symbol).containing_service.file


def add(services: Sequence[str], server: grpc.aio.Server) -> None:
    """Tells of the named services, which the default descriptor pool must know."""
    servicer = reflection.aio.ReflectionServicer(services, pool=_Symbols())
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)  # type: ignore[no-untyped-call]
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(V1, {"ServerReflectionInfo": handler}),))
