"""How long a call may still take, and what of that a sibling may have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

MARGIN = 0.1
"""Seconds kept back from a sibling, so that its timeout can still be reported within ours."""

_until: ContextVar[float | None] = ContextVar("until", default=None)


@contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """Gives the running call `seconds`; None for no limit."""
    token = _until.set(None if seconds is None else asyncio.get_running_loop().time() + seconds)
    try:
        yield
    finally:
        _until.reset(token)


def remaining(at_most: float) -> float:
    """The timeout, in seconds, for a call to a sibling: `at_most`, or less where the caller waits less long."""
    until = _until.get()
    if until is None:
        return at_most
    return max(0.001, min(at_most, until - asyncio.get_running_loop().time() - MARGIN))
