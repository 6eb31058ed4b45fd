"""Channels to siblings: mTLS, keepalive, retries of what may be repeated, and certificates renewed as they come."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc.aio
import structlog
from google.protobuf import descriptor_pool

from services.mesh.credentials import channel_credentials, stamp

log: structlog.stdlib.BoundLogger = structlog.get_logger("channels")

# AIP-131, 132 and our sums: methods of these names only read, so they may be sent again.
_REPEATABLE = ("Get", "List", "Summarize")
LOOK_SECONDS = 1.0
LAST_CALLS_SECONDS = 300.0


@asynccontextmanager
async def open_channel(address: str, process: str, contract: str, tls: Path) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the sibling `process` at `address` (`host:port`), for the service `contract`.

    The other end must show a certificate of `<process>.voicemesh.internal`. Methods that only
    read are retried when it does not answer.
    """
    options = (
        ("grpc.ssl_target_name_override", f"{process}.voicemesh.internal"),
        ("grpc.service_config", json.dumps(_service_config(contract))),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        # A proxy in the environment is for the world outside.
        ("grpc.enable_http_proxy", 0),
        # Else a new channel would take over the connection, and so the certificate, of the old one.
        ("grpc.use_local_subchannel_pool", 1),
    )
    channel = RenewingChannel(tls, lambda: grpc.aio.secure_channel(address, channel_credentials(tls), options=options))
    try:
        yield channel
    finally:
        await channel.close()


class RenewingChannel(grpc.aio.Channel):
    """A channel that is built anew when the files of its certificate change; calls under way finish on the old one."""

    def __init__(self, tls: Path, build: Callable[[], grpc.aio.Channel]) -> None:
        self._tls = tls
        self._build = build
        self._stamp = stamp(tls)
        self._channel = build()
        self._looked = time.monotonic()
        self._closing: set[asyncio.Task[None]] = set()

    def unary_unary(self, method: str, *codecs: Any, **more: Any) -> Any:
        """See grpc.aio.Channel; the same for the other three."""
        return lambda *request, **options: self._now().unary_unary(method, *codecs, **more)(*request, **options)

    def unary_stream(self, method: str, *codecs: Any, **more: Any) -> Any:
        return lambda *request, **options: self._now().unary_stream(method, *codecs, **more)(*request, **options)

    def stream_unary(self, method: str, *codecs: Any, **more: Any) -> Any:
        return lambda *request, **options: self._now().stream_unary(method, *codecs, **more)(*request, **options)

    def stream_stream(self, method: str, *codecs: Any, **more: Any) -> Any:
        return lambda *request, **options: self._now().stream_stream(method, *codecs, **more)(*request, **options)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return self._now().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._now().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._now().channel_ready()

    async def close(self, grace: float | None = None) -> None:
        for task in self._closing:
            task.cancel()
        await self._channel.close(grace)

    async def __aenter__(self) -> RenewingChannel:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    def _now(self) -> grpc.aio.Channel:
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return self._channel
        self._looked = time.monotonic()
        try:
            found = stamp(self._tls)
            if found != self._stamp:
                fresh = self._build()
                old, self._channel, self._stamp = self._channel, fresh, found
                closing = asyncio.ensure_future(old.close(LAST_CALLS_SECONDS))
                self._closing.add(closing)
                closing.add_done_callback(self._closing.discard)
                log.info("certificate renewed")
        except OSError:
            pass  # In the middle of being replaced: the next call looks again.
        return self._channel


def _service_config(contract: str) -> dict[str, object]:
    service = descriptor_pool.Default().FindServiceByName(contract)
    names = [
        {"service": contract, "method": method.name}
        for method in service.methods
        if method.name.startswith(_REPEATABLE)
    ]
    retry = {
        "maxAttempts": 4,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    return {
        "methodConfig": [{"name": names, "retryPolicy": retry}],
        "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.1},
    }
