"""Which processes make up the mesh, where each listens, and what each is told by its environment."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from services.local import edge, ports
from services.local.child import Process
from services.local.state import State

EDGE_PORT = 8080
OFFSETS = {"auth": 1, "voice": 2, "storage": 3, "user": 4, "gateway": 10}
"""Where each service listens, counted from the base port."""

CONTRACTS = {
    "auth": "voicemesh.auth.v1.AuthService",
    "voice": "voicemesh.voice.v1.VoiceService",
    "storage": "voicemesh.storage.v1.StorageService",
    "user": "voicemesh.user.v1.UserService",
    "gateway": "envoy.service.auth.v3.Authorization",
}
"""The contract whose health is the readiness of the service."""

SIBLINGS = {"user": ("auth", "voice", "storage"), "voice": ("storage",), "gateway": ("auth",)}
"""Whom each service calls."""

WITH_DATABASE = ("auth", "user", "storage", "voice")
SECRETS = (
    "VOICEMESH_AUTH_KEY_ENCRYPTION_KEY",
    "VOICEMESH_STORAGE_PAGE_TOKEN_KEY",
    "VOICEMESH_VOICE_PAGE_TOKEN_KEY",
    "VOICEMESH_USER_PAGE_TOKEN_KEY",
)
ALL = (*OFFSETS, "worker", "envoy")


class Databases(Protocol):
    """Whoever knows the address of a database."""

    def url(self, database: str) -> str:
        """The address of that database."""


@dataclass(frozen=True)
class Layout:
    """What the person chooses: where the mesh listens and what its services are told."""

    bind: str = "127.0.0.1"
    port: int = EDGE_PORT
    services: Mapping[str, int] = field(default_factory=lambda: at_base(EDGE_PORT))
    """The port of each service, on 127.0.0.1; 0 takes a free one, as for `port` and `admin`."""
    admin: int = 0
    """The port of Envoy's admin interface, on 127.0.0.1."""
    manners: edge.Manners = field(default_factory=edge.Manners)
    """How Envoy treats callers."""
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """What the processes see besides what the topology tells them."""
    only: frozenset[str] = frozenset(ALL)
    """Which processes to run."""

    def settled(self) -> "Layout":
        """The same with a free port for each 0."""
        wanted = [self.port, self.admin, *self.services.values()]
        found = iter(ports.free(wanted.count(0)))
        port, admin, *rest = [each or next(found) for each in wanted]
        return replace(self, port=port, admin=admin, services=dict(zip(self.services, rest, strict=True)))

    def claims(self) -> list[ports.Claim]:
        """The ports that the mesh is about to take."""
        found = [
            ports.Claim(service, "127.0.0.1", port, f"choose another with --{service}-port or --service-port-base")
            for service, port in self.services.items()
            if service in self.only
        ]
        if "envoy" in self.only:
            found.append(ports.Claim("envoy", self.bind, self.port, "choose another with --port"))
            found.append(ports.Claim("envoy's admin", "127.0.0.1", self.admin, "choose another with --admin-port"))
        return found

    def given(self, service: str) -> bool:
        """Whether the person brings the service's database."""
        return bool(self.environment.get(f"VOICEMESH_{service.upper()}_DATABASE_URL"))

    def needs_database(self) -> bool:
        """Whether any process needs the embedded database."""
        users = {"voice" if name == "worker" else name for name in self.only}
        return any(service in users and not self.given(service) for service in WITH_DATABASE)


def at_base(base: int) -> dict[str, int]:
    """The services' ports, counted from a base."""
    return {service: base + offset for service, offset in OFFSETS.items()}


def processes(layout: Layout, state: State, tls: Mapping[str, Path], databases: Databases | None) -> list[Process]:
    """The processes of a settled layout."""
    found = [service(name, layout, state, tls, databases) for name in OFFSETS]
    worker = service("voice", layout, state, tls, databases)
    found.append(
        replace(
            worker,
            name="worker",
            command=(sys.executable, "-P", "-m", "services.voice.worker"),
            environment={**worker.environment, "VOICEMESH_VOICE_TLS": str(tls["worker"])},
            log=state.logs / "worker.log",
            probe="",
            address="",
        )
    )
    if "envoy" in layout.only:
        found.append(
            edge.process(
                manners=layout.manners,
                listen=(layout.bind, layout.port),
                services={name: ("127.0.0.1", port) for name, port in layout.services.items()},
                admin=("127.0.0.1", layout.admin),
                tls=tls["envoy"],
                state=state,
                environment=foreign(layout.environment, ""),
            )
        )
    return [process for process in found if process.name in layout.only]


def service(name: str, layout: Layout, state: State, tls: Mapping[str, Path], databases: Databases | None) -> Process:
    """One of the five services."""
    prefix = f"VOICEMESH_{name.upper()}_"
    address = f"127.0.0.1:{layout.services[name]}"
    told = {f"{prefix}LISTEN": address, f"{prefix}TLS": str(tls[name])}
    for sibling in SIBLINGS.get(name, ()):
        told[f"{prefix}{sibling.upper()}_ADDRESS"] = f"127.0.0.1:{layout.services[sibling]}"
    if name in WITH_DATABASE and databases is not None and not layout.given(name):
        told[f"{prefix}DATABASE_URL"] = databases.url(f"voicemesh_{name}")
    for secret in SECRETS:
        if secret.startswith(prefix) and not layout.environment.get(secret):
            told[secret] = state.secret(secret)
    if name == "storage" and not layout.environment.get(f"{prefix}ROOT"):
        told[f"{prefix}ROOT"] = str(state.files)
    return Process(
        name=name,
        # -P: the folder that it runs in must not be searched for modules.
        command=(sys.executable, "-P", "-m", f"services.{name}"),
        environment={**foreign(layout.environment, prefix), **paths(layout.environment), **told},
        log=state.logs / f"{name}.log",
        folder=state.folder,
        probe=f"grpcs://{address}/{CONTRACTS[name]}",
        address=address,
    )


def foreign(environment: Mapping[str, str], prefix: str) -> dict[str, str]:
    """The environment less the settings of the other services: what one may know (a password) is not for all."""
    others = tuple(f"VOICEMESH_{name.upper()}_" for name in OFFSETS if f"VOICEMESH_{name.upper()}_" != prefix)
    return {name: value for name, value in environment.items() if not name.startswith(others)}


def paths(environment: Mapping[str, str]) -> dict[str, str]:
    """Where Python finds our packages, also from a clone that is not installed."""
    root = Path(__file__).resolve().parents[2]
    places = [str(place) for place in (root, root / "gen") if (place / "voicemesh").is_dir() or place == root]
    if environment.get("PYTHONPATH"):
        places.append(environment["PYTHONPATH"])
    return {"PYTHONPATH": os.pathsep.join(places), "PYTHONUNBUFFERED": "1"}
