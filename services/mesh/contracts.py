"""What the contracts say about a method beyond its messages: who may call it, and with which scopes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from google.api import annotations_pb2
from google.protobuf import descriptor, descriptor_pool
from voicemesh.gateway.v1 import access_pb2, budget_pb2

Access = access_pb2.Access
Budget = budget_pb2.Budget


@dataclass(frozen=True)
class Rule:
    """The options `access`, `scopes` and `peers` of one method (protos/voicemesh/gateway/v1/access.proto)."""

    method: str
    """Full gRPC name with a leading slash, `/voicemesh.auth.v1.AuthService/Login`."""
    access: Access.ValueType
    scopes: frozenset[str]
    peers: frozenset[str]
    routes: tuple[tuple[str, str], ...]
    """REST verbs and path templates, `("POST", "/v1/auth:login")`."""
    budget: Budget.ValueType = Budget.BUDGET_UNSPECIFIED
    """How a call counts against the rate limits of its caller (budget.proto)."""


def rule(method: descriptor.MethodDescriptor) -> Rule:
    """The rule of one method."""
    options = method.GetOptions()
    extensions = options.Extensions
    http = extensions[annotations_pb2.http]
    routes = []
    for binding in (http, *http.additional_bindings):
        verb = binding.WhichOneof("pattern")
        if verb is not None:
            routes.append((verb.upper(), getattr(binding, verb)))
    return Rule(
        method=f"/{method.containing_service.full_name}/{method.name}",
        access=extensions[access_pb2.access],
        scopes=frozenset(extensions[access_pb2.scopes]),
        peers=frozenset(extensions[access_pb2.peers]),
        routes=tuple(routes),
        budget=extensions[budget_pb2.budget],
    )


def rules(services: Iterable[str], pool: descriptor_pool.DescriptorPool | None = None) -> dict[str, Rule]:
    """The rules of all methods of the named services, by full method name.

    Raises:
        KeyError: a service is not in the pool.
    """
    pool = pool or descriptor_pool.Default()
    found = (rule(method) for name in services for method in pool.FindServiceByName(name).methods)
    return {each.method: each for each in found}
