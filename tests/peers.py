"""A real service in this process, and channels to it as any process of the mesh."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio

from services.mesh.credentials import channel_credentials
from services.mesh.identity import SCOPES, SESSION, USER
from services.mesh.server import Opener, serving
from services.mesh.settings import MeshSettings

Metadata = tuple[tuple[str, str], ...]


def signed_in(user: str, *, session: str = "", scopes: str = "*") -> Metadata:
    """The metadata with which Envoy passes on a call of a user."""
    return ((USER, user), (SESSION, session), (SCOPES, scopes))


@dataclass(frozen=True)
class Served:
    """A service that is being served over mTLS."""

    process: str
    port: int
    certificates: dict[str, Path]

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self.port}"

    def channel(self, peer: str = "envoy") -> grpc.aio.Channel:
        """A channel that shows the certificate of `peer`."""
        return grpc.aio.secure_channel(
            self.address,
            channel_credentials(self.certificates[peer]),
            options=(("grpc.ssl_target_name_override", f"{self.process}.voicemesh.internal"),),
        )


@asynccontextmanager
async def served(
    process: str, open_app: Opener[Any], settings: MeshSettings, certificates: dict[str, Path]
) -> AsyncIterator[Served]:
    """Serves an application as its process would, on a free port."""
    async with open_app(settings) as application, serving(application, settings) as port:
        yield Served(process, port, certificates)
