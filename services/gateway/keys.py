"""The keys that verify access tokens, as auth publishes them, at hand when auth is not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from services.mesh import errors

log: structlog.stdlib.BoundLogger = structlog.get_logger("keys")

KeySet = Mapping[str, Ed25519PublicKey]
"""Public keys by their id (`kid`)."""

Fetch = Callable[[], Awaitable[KeySet]]
"""Gets the keys from auth.

Raises:
    Unavailable: auth does not answer.
"""

FIRST_RETRY_SECONDS = 1.0


class Keys:
    """Fetched every so often, and at once for a key that is not known yet; what was fetched is kept when auth is down.

    An unknown key causes a fetch at most every `refetch_seconds`, so that made-up tokens cannot be used
    to keep auth busy.
    """

    def __init__(self, fetch: Fetch, *, refetch_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._refetch_seconds = refetch_seconds
        self._clock = clock
        self._keys: KeySet | None = None
        self._tried: float | None = None
        self._failed = False
        self._fetching = asyncio.Lock()
        self.generation = 0
        """Grows when the keys change."""

    async def get(self, kid: str) -> Ed25519PublicKey | None:
        """The key with this id, None if auth publishes no such key.

        Raises:
            Unavailable: auth cannot be asked, so that nothing can be said of this key.
        """
        if self._keys is None or kid not in self._keys:
            await self._refetch(kid)
        if self._keys is not None and kid in self._keys:
            return self._keys[kid]
        if self._keys is None or self._failed:
            raise errors.Unavailable("KEYS_UNAVAILABLE", "tokens cannot be verified at the moment", retry_after=1)
        return None

    async def refresh(self) -> None:
        """Fetches the keys.

        Raises:
            Unavailable: auth does not answer; the keys stay as they were.
        """
        async with self._fetching:
            await self._fetch_now()

    async def keep_fresh(self, seconds: float) -> None:
        """Fetches the keys every so often, for ever; until the first time it works, every second."""
        while True:
            try:
                await self.refresh()
            except errors.Unavailable:
                log.warning("keys not fetched")
            await asyncio.sleep(seconds if self._keys is not None else min(seconds, FIRST_RETRY_SECONDS))

    async def ping(self) -> None:
        """Lets pass if the keys were fetched once.

        Raises:
            Unavailable: they were not.
        """
        if self._keys is None:
            raise errors.Unavailable("KEYS_UNAVAILABLE", "the keys have not been fetched yet")

    async def _refetch(self, kid: str) -> None:
        async with self._fetching:
            if self._keys is not None and kid in self._keys:
                return  # Fetched while waiting for the lock.
            if self._tried is not None and self._clock() - self._tried < self._refetch_seconds:
                return
            try:
                await self._fetch_now()
            except errors.Unavailable:
                log.warning("keys not fetched")

    async def _fetch_now(self) -> None:
        self._tried = self._clock()
        self._failed = True
        keys = await self._fetch()
        self._failed = False
        if keys != self._keys:
            self._keys = keys
            self.generation += 1
            log.info("keys fetched", kids=sorted(keys))
