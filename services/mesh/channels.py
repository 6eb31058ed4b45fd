"""Channels to siblings: mTLS, keepalive, and retries of what may be repeated."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio
from google.protobuf import descriptor_pool

from services.mesh.credentials import channel_credentials

# AIP-131, 132 and our sums: methods of these names only read, so they may be sent again.
_REPEATABLE = ("Get", "List", "Summarize")


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
    )
    async with grpc.aio.secure_channel(address, channel_credentials(tls), options=options) as channel:
        yield channel


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
