"""A service as a process: built, served over mTLS, healthy or not, drained on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import grpc.aio
import structlog
import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from services.mesh import contracts, errors, logs, loops, reflection
from services.mesh.credentials import server_credentials
from services.mesh.interceptors import CallInterceptor
from services.mesh.settings import MeshSettings

log: structlog.stdlib.BoundLogger = structlog.get_logger("server")

Ping = Callable[[], Awaitable[None]]
FOREIGN = frozenset({"grpc.health.v1.Health", reflection.V1, reflection.V1ALPHA})
PING_SECONDS = 2.0
LARGEST_MESSAGE = 4 * 1024 * 1024
LARGEST_METADATA = 32 * 1024
"""More than Envoy lets through, which tells it better."""


@dataclass(frozen=True)
class Servicer:
    """An implementation of one contract."""

    contract: str
    """Full name of the service, `voicemesh.auth.v1.AuthService`."""
    register: Callable[[grpc.aio.Server], None]
    """Adds the implementation to a server."""
    foreign: bool = False
    """Whether the contract is not one of ours, so that it has no access rules."""


@dataclass(frozen=True)
class Application:
    """What `app.py` of a service makes: its servicers, and what they depend on."""

    servicers: Sequence[Servicer]
    pings: Mapping[str, Ping] = field(default_factory=dict)
    """By name, what must answer for the service to be ready; each raises MeshError if it does not."""
    draining: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process has been asked to stop: long streams then end by themselves."""
    reflected: Sequence[str] = ()
    """What reflection tells of, if not of the servicers."""


S = TypeVar("S", bound=MeshSettings)
Opener = Callable[[S], AbstractAsyncContextManager[Application]]


def run(service: str, settings: S, open_app: Opener[S]) -> None:
    """Serves until SIGTERM or SIGINT."""
    logs.configure(service, settings.log_level)
    uvloop.run(_run(settings, open_app))


async def _run(settings: S, open_app: Opener[S]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    started = asyncio.ensure_future(_serve_until(stop, settings, open_app))
    stopping = asyncio.ensure_future(stop.wait())
    await asyncio.wait({started, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if stopping.done() and not started.done():
        with suppress(TimeoutError, asyncio.CancelledError):
            await asyncio.wait_for(started, settings.drain_seconds + 5)
        return
    stopping.cancel()
    await started


async def _serve_until(stop: asyncio.Event, settings: S, open_app: Opener[S]) -> None:
    async with open_app(settings) as application, serving(application, settings):
        log.info("serving", listen=settings.listen)
        await stop.wait()
        log.info("draining")


@asynccontextmanager
async def serving(application: Application, settings: MeshSettings) -> AsyncIterator[int]:
    """Serves the application within the block; gives the port. At the end says NOT_SERVING, then lets calls finish."""
    ours = [each.contract for each in application.servicers if not each.foreign]
    foreign = FOREIGN | {each.contract for each in application.servicers if each.foreign}
    interceptor = CallInterceptor(
        contracts.rules(ours), foreign=frozenset(foreign), unary_seconds=settings.unary_seconds
    )
    server = grpc.aio.server(
        interceptors=[interceptor],
        options=(
            ("grpc.so_reuseport", 0),
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
            ("grpc.max_metadata_size", LARGEST_METADATA),
            ("grpc.absolute_max_metadata_size", LARGEST_METADATA),
            ("grpc.keepalive_time_ms", 20_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ),
    )
    for servicer in application.servicers:
        servicer.register(server)
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.add(application.reflected or [*ours, *sorted(foreign - {reflection.V1})], server)
    port = server.add_secure_port(settings.listen, server_credentials(settings.tls))
    probes = await _serve_health(healthy, settings.health_listen)
    await healthy.set("", health_pb2.HealthCheckResponse.SERVING)
    watch = partial(_watch, application, healthy)
    await watch()
    await server.start()
    try:
        async with loops.repeating("readiness", watch, PING_SECONDS, after_seconds=PING_SECONDS):
            yield port
    finally:
        application.draining.set()
        await healthy.enter_graceful_shutdown()
        await server.stop(settings.drain_seconds)
        if probes is not None:
            await probes.stop(0)


async def _serve_health(healthy: health.aio.HealthServicer, listen: str) -> grpc.aio.Server | None:
    if not listen:
        return None
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    server.add_insecure_port(listen)
    await server.start()
    return server


async def _watch(application: Application, healthy: health.aio.HealthServicer) -> None:
    """Readiness by contract name: whether everything the service depends on answers."""
    ready = True
    for name, ping in application.pings.items():
        try:
            async with asyncio.timeout(PING_SECONDS):
                await ping()
        except (errors.MeshError, grpc.aio.AioRpcError, TimeoutError):
            log.warning("not ready", dependency=name)
            ready = False
        except Exception:
            log.exception("not ready, for an error of ours", dependency=name)
            ready = False
    state = health_pb2.HealthCheckResponse.SERVING if ready else health_pb2.HealthCheckResponse.NOT_SERVING
    for each in application.servicers:
        await healthy.set(each.contract, state)
