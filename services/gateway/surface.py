"""What the edge shows of the mesh, read from the contracts, so that nothing is listed twice.

The gateway takes from it which methods are public; Envoy's configuration takes its routes from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool

from services.mesh import contracts
from services.mesh.contracts import Access, Budget, Rule

FOREIGN = (
    "/grpc.health.v1.Health/Check",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)
"""Methods of contracts that are not ours, for anyone; the gateway serves them at the edge."""

_OURS = "voicemesh."


@dataclass(frozen=True)
class Method:
    """A method of one of our contracts."""

    rule: Rule
    request_streaming: bool
    response_streaming: bool

    @property
    def path(self) -> str:
        """Its full gRPC name, which is its HTTP path: `/voicemesh.auth.v1.AuthService/Login`."""
        return self.rule.method

    @property
    def contract(self) -> str:
        """The service it belongs to: `voicemesh.auth.v1.AuthService`."""
        return self.path.split("/")[1]

    @property
    def process(self) -> str:
        """The process that serves it: `auth`."""
        return self.contract.split(".")[1]

    @property
    def exposed(self) -> bool:
        """Whether it can be reached from the edge at all."""
        return self.rule.access in (Access.PUBLIC, Access.AUTHENTICATED)

    @property
    def reads(self) -> bool:
        """Whether it only reads, so that it may be sent again: what REST calls by GET."""
        return any(verb == "GET" for verb, _ in self.rule.routes)


@dataclass(frozen=True)
class Surface:
    """All methods of our contracts, in the order of the contracts."""

    methods: tuple[Method, ...]
    modules: frozenset[str]
    """The Python modules generated from them."""

    @cached_property
    def exposed(self) -> tuple[Method, ...]:
        """The methods that can be reached from the edge."""
        return tuple(method for method in self.methods if method.exposed)

    @cached_property
    def hidden(self) -> frozenset[str]:
        """Paths of the methods that cannot."""
        return frozenset(method.path for method in self.methods if not method.exposed)

    @cached_property
    def contracts(self) -> tuple[str, ...]:
        """The services with a method that can be reached."""
        return tuple(dict.fromkeys(method.contract for method in self.exposed))

    @cached_property
    def public(self) -> frozenset[tuple[str, str]]:
        """Verb and path of every request that needs no credential.

        Raises:
            ValueError: a public method has a variable in its path, so that its paths cannot be listed.
        """
        found = set()
        for method in self.exposed:
            if method.rule.access != Access.PUBLIC:
                continue
            found.add(("POST", method.path))
            for verb, path in method.rule.routes:
                if "{" in path or "*" in path:
                    raise ValueError(f"{method.path} is public and has a variable in its path {path}")
                found.add((verb, path))
        return frozenset(found)

    @cached_property
    def sign_in(self) -> tuple[str, ...]:
        """Paths of the requests that try a password or make an account, of gRPC and of REST."""
        methods = [method for method in self.exposed if method.rule.budget == Budget.SIGN_IN]
        return tuple(path for method in methods for path in (method.path, *(path for _, path in method.rule.routes)))


def descriptors() -> bytes:
    """The descriptor set of our contracts: of the installed package, else of the source tree."""
    packaged = files("services.gateway") / "voicemesh.binpb"
    if packaged.is_file():
        return packaged.read_bytes()
    return (Path(__file__).parents[2] / "gen" / "voicemesh.binpb").read_bytes()


def read(described: bytes | None = None) -> Surface:
    """The surface that a descriptor set describes; ours unless told otherwise."""
    everything = descriptor_pb2.FileDescriptorSet.FromString(described or descriptors()).file
    pool = descriptor_pool.DescriptorPool()
    for file in everything:
        pool.Add(file)
    ours = [file for file in everything if file.package.startswith(_OURS) and file.service]
    services = [pool.FindServiceByName(f"{file.package}.{service.name}") for file in ours for service in file.service]
    methods = (
        Method(contracts.rule(method), method.client_streaming, method.server_streaming)
        for service in services
        for method in service.methods
    )
    modules = (file.name.removesuffix(".proto").replace("/", ".") + "_pb2" for file in ours)
    return Surface(tuple(methods), frozenset(modules))
