"""Envoy's configuration, the same on one machine, under compose and in Kubernetes.

Envoy cannot read a template or the environment, so the configuration is written before it starts:
`envoy.yaml`, and `mesh.yaml`, `authority.yaml` (and `edge.yaml` where the edge speaks TLS), from
which Envoy reads its certificates again whenever their files are replaced.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from services.gateway import surface
from services.local.replies import REPLIES
from services.mesh import identity
from services.mesh.server import LARGEST_MESSAGE

Address = tuple[str, int]

CORS_ORIGINS = ("http://localhost:*", "http://127.0.0.1:*")
"""Whose pages may call by default: those of this machine, on any port."""
UNARY_SECONDS = 30
"""How long a call without a streamed side may take."""
IDLE_SECONDS = 120
"""How long a stream may be silent; watches send something far more often."""
SIGN_INS_PER_MINUTE = 60
"""How often one client address may try to sign in or register."""
CONNECTIONS = 10_000
"""How many connections, and requests to a service, there may be at once."""
PAGES = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
"""What a browser may do with an answer that it shows as a page, unless the answer says so itself: nothing."""
STRIPPED = (
    identity.USER,
    identity.SESSION,
    identity.SCOPES,
    identity.ADDRESS,
    "x-envoy-original-path",
    "x-envoy-original-method",
)
"""Request headers that only Envoy itself may set."""


@dataclass(frozen=True)
class At:
    """Where something listens."""

    host: str
    port: int

    @property
    def named(self) -> bool:
        """Whether the host is a name, to be looked up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return True
        return False


@dataclass(frozen=True)
class Patience:
    """How long a slow client is waited for, in seconds."""

    headers_seconds: float = 10
    """For the head of a request, from its first byte to its last."""
    idle_seconds: float = IDLE_SECONDS
    """For the next byte of a stream, either way."""
    unary_seconds: float = 2 * UNARY_SECONDS
    """For the whole of a call without a streamed side."""


@dataclass(frozen=True)
class Route:
    """A method and where it is served."""

    path: str
    process: str
    deadline_seconds: int
    """0 for streams, which are only ended by silence."""
    reads: bool

    @property
    def name(self) -> str:
        """`VoiceService.GetVoice`, for statistics and the access log."""
        return ".".join(self.path.strip("/").split(".")[-1].split("/"))


@dataclass(frozen=True)
class Cluster:
    """A process that Envoy calls."""

    process: str
    at: At
    health: str
    """The name under which it tells whether it may be called."""


def render(
    *,
    listen: Address,
    services: Mapping[str, Address],
    secrets: Path,
    admin: Address | None = None,
    access_log: str = "/dev/stdout",
    descriptors: Path | None = None,
    cors_origins: Sequence[str] = CORS_ORIGINS,
    rate_per_second: int = 100,
    rate_burst: int = 200,
    sign_ins_per_minute: int = SIGN_INS_PER_MINUTE,
    trusted_proxies: int = 0,
    tls: bool = False,
    patience: Patience = Patience(),
) -> str:
    """The configuration.

    `services` says where auth, user, storage, voice and gateway listen. `secrets` is the folder of what
    `render_secrets` gives, as Envoy sees it; `descriptors` the file of the descriptor set, or None to
    put it into the configuration. An origin may end in `:*` for any port. The rates are those of one
    client address, which as many `trusted_proxies` before Envoy tell in x-forwarded-for.

    Raises:
        KeyError: `services` lacks one.
    """
    shown = surface.read()
    environment = Environment(  # noqa: S701 - YAML, not HTML
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(_template()).render(
        listen=At(*listen),
        admin=At(*admin) if admin else None,
        access_log=access_log,
        secrets=str(secrets),
        tls=tls,
        descriptors=str(descriptors) if descriptors else None,
        descriptor_bytes=base64.b64encode(surface.descriptors()).decode(),
        contracts=list(shown.contracts),
        sign_in=[re.escape(path) for path in shown.sign_in],
        routes=_routes(shown),
        clusters=_clusters(shown, services),
        replies=REPLIES,
        origins=[_origin(origin) for origin in cors_origins],
        stripped=STRIPPED,
        rate_per_second=rate_per_second,
        rate_burst=rate_burst,
        sign_ins_per_minute=sign_ins_per_minute,
        trusted_proxies=trusted_proxies,
        pages=PAGES,
        patience=patience,
        connections=CONNECTIONS,
        message_bytes=LARGEST_MESSAGE,
    )


def render_secrets(certificates: Path, tls: Path | None = None) -> dict[str, str]:
    """The files, by name, from which Envoy reads its certificates: `certificates` is its folder in the mesh
    (`tls.crt`, `tls.key`, `ca.crt`), `tls` the one (`tls.crt`, `tls.key`) that clients see. Both as Envoy sees them.
    """
    authority = {
        "trusted_ca": {"filename": str(certificates / "ca.crt")},
        "watched_directory": {"path": str(certificates)},
    }
    found = {
        "mesh.yaml": _secret("mesh", tls_certificate=_pair(certificates)),
        "authority.yaml": _secret("authority", validation_context=authority),
    }
    if tls is not None:
        found["edge.yaml"] = _secret("edge", tls_certificate=_pair(tls))
    return found


def write(
    folder: Path,
    *,
    certificates: Path,
    listen: Address,
    services: Mapping[str, Address],
    admin: Address | None = None,
    access_log: str = "/dev/stdout",
    descriptors: Path | None = None,
    cors_origins: Sequence[str] = CORS_ORIGINS,
    rate_per_second: int = 100,
    rate_burst: int = 200,
    sign_ins_per_minute: int = SIGN_INS_PER_MINUTE,
    trusted_proxies: int = 0,
    tls: Path | None = None,
    patience: Patience = Patience(),
) -> Path:
    """Writes everything that Envoy needs into `folder`, which it must see under the same path; gives the
    configuration's file. The parameters are those of `render` and `render_secrets`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in render_secrets(certificates, tls).items():
        (folder / name).write_text(text, "utf-8")
    configuration = folder / "envoy.yaml"
    text = render(
        listen=listen,
        services=services,
        secrets=folder,
        admin=admin,
        access_log=access_log,
        descriptors=descriptors,
        cors_origins=cors_origins,
        rate_per_second=rate_per_second,
        rate_burst=rate_burst,
        sign_ins_per_minute=sign_ins_per_minute,
        trusted_proxies=trusted_proxies,
        tls=tls is not None,
        patience=patience,
    )
    configuration.write_text(text, "utf-8")
    return configuration


def _template() -> str:
    packaged = files("services.local") / "envoy.yaml.j2"
    if packaged.is_file():
        return packaged.read_text("utf-8")
    return (Path(__file__).parents[2] / "envoy" / "envoy.yaml.j2").read_text("utf-8")


def _routes(shown: surface.Surface) -> list[Route]:
    ours = [
        Route(
            method.path,
            method.process,
            0 if method.request_streaming or method.response_streaming else UNARY_SECONDS,
            method.reads,
        )
        for method in shown.exposed
    ]
    foreign = [Route(path, "gateway", 0, reads=False) for path in surface.FOREIGN]
    return [*ours, *foreign]


def _clusters(shown: surface.Surface, services: Mapping[str, Address]) -> list[Cluster]:
    """The gateway is called as long as it lives: what it cannot decide, it says itself."""
    health = {"gateway": ""}
    for contract in reversed(shown.contracts):
        health[contract.split(".")[1]] = contract
    return [Cluster(process, At(*services[process]), name) for process, name in sorted(health.items())]


def _origin(origin: str) -> str:
    """A pattern for one origin."""
    if origin.endswith(":*"):
        return re.escape(origin.removesuffix(":*")) + "(:[0-9]+)?"
    return re.escape(origin)


def _pair(folder: Path) -> dict[str, object]:
    return {
        "certificate_chain": {"filename": str(folder / "tls.crt")},
        "private_key": {"filename": str(folder / "tls.key")},
        "watched_directory": {"path": str(folder)},
    }


def _secret(name: str, **content: object) -> str:
    kind = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
    return json.dumps({"resources": [{"@type": kind, "name": name, **content}]}, indent=2)
