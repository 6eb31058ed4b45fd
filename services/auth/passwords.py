"""Passwords: hashed with bcrypt (Provos and Mazières 1999), away from the event loop."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TypeVar

import bcrypt

from services.mesh import errors

T = TypeVar("T")


class Passwords:
    """Hashes and checks passwords of at most 72 bytes, which the contract sees to.

    `waiting` passwords may be in hand at once; more raise ResourceExhausted (SIGN_IN_BUSY).
    """

    def __init__(self, cost: int, threads: Executor, *, waiting: int = 16) -> None:
        self._cost = cost
        self._threads = threads
        self._most_waiting = waiting
        self._waiting = 0
        self._nobodys = bcrypt.hashpw(secrets.token_hex(16).encode(), bcrypt.gensalt(cost))

    async def hash(self, password: str) -> str:
        """The hash to keep, with its salt and cost in it."""
        salt = bcrypt.gensalt(self._cost)
        hashed = await self._run(bcrypt.hashpw, password.encode(), salt)
        return hashed.decode("ascii")

    async def matches(self, password: str, hashed: str | None) -> bool:
        """Whether the password is right; takes as long where there is no account (None)."""
        candidate = password.encode()
        if hashed is None:
            await self._run(bcrypt.checkpw, candidate, self._nobodys)
            return False
        return await self._run(bcrypt.checkpw, candidate, hashed.encode("ascii"))

    async def _run(self, function: Callable[[bytes, bytes], T], password: bytes, other: bytes) -> T:
        if self._waiting >= self._most_waiting:
            raise errors.ResourceExhausted("SIGN_IN_BUSY", "too many people sign in just now", retry_after=2)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, function, password, other)
        finally:
            self._waiting -= 1
