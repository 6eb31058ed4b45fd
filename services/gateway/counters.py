"""Counters: calls counted in a sliding window, here or in a store that several gateways share."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string

from services.gateway.limits import Rate

log: structlog.stdlib.BoundLogger = structlog.get_logger("limits")

STORE_SECONDS = 0.1
"""How long the store may take; Envoy waits half a second for the count."""
PAUSE_SECONDS = 5.0
"""For how long a store that has failed is not asked again."""


class SharedCounter:
    """Counts in the store at an address; while it does not answer, each gateway counts by itself."""

    def __init__(self, address: str | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`address` is that of a Redis or Valkey, `redis://…` or `rediss://…`; None for no store."""
        self._shared = None if address is None else SlidingWindowCounterRateLimiter(_storage(address))
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._clock = clock
        self._failed_at: float | None = None

    async def hit(self, name: str, rate: Rate, owner: str) -> bool:
        """See `Counter`."""
        item = _item(rate)
        if self._asked() and self._shared is not None:
            try:
                return await self._shared.hit(item, name, owner)
            except self._shared.storage.base_exceptions as error:
                self._fail(error)
        return await self._own.hit(item, name, owner)

    async def standing(self, name: str, rate: Rate, owner: str) -> tuple[int, float]:
        """See `Counter`."""
        item = _item(rate)
        if self._asked() and self._shared is not None:
            try:
                found = await self._shared.get_window_stats(item, name, owner)
            except self._shared.storage.base_exceptions as error:
                self._fail(error)
            else:
                return found.remaining, found.reset_time
        stats = await self._own.get_window_stats(item, name, owner)
        return stats.remaining, stats.reset_time

    def _asked(self) -> bool:
        if self._failed_at is not None and self._clock() - self._failed_at >= PAUSE_SECONDS:
            self._failed_at = None
        return self._failed_at is None

    def _fail(self, error: Exception) -> None:
        self._failed_at = self._clock()
        log.warning("store of the rate limits does not answer", error=type(error).__name__)


def _storage(address: str) -> Storage:
    storage = storage_from_string(
        f"async+{address}",
        implementation="redispy",
        key_prefix="voicemesh",
        socket_timeout=STORE_SECONDS,
        socket_connect_timeout=STORE_SECONDS,
    )
    if not isinstance(storage, Storage):
        raise TypeError(f"{type(storage).__name__} cannot be awaited")
    return storage


def _item(rate: Rate) -> RateLimitItemPerSecond:
    return RateLimitItemPerSecond(rate.calls, rate.seconds)
