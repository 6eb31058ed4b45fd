"""Loops: what a process does over and over in the background, whatever goes wrong at one time or another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from services.mesh import errors

log: structlog.stdlib.BoundLogger = structlog.get_logger("loops")

Step = Callable[[], Awaitable[object]]


async def forever(name: str, step: Step, every_seconds: float, *, after_seconds: float = 0.0) -> None:
    """Takes the step after so many seconds, and again so many seconds after each end of it, until it is cancelled.

    A dependency that does not answer is worth a line in the log; any other error is one of ours, and is told
    with its traceback.
    """
    await asyncio.sleep(after_seconds)
    while True:
        try:
            await step()
        except errors.Unavailable as error:
            log.warning("loop held up", loop=name, reason=error.reason)
        except Exception:
            log.exception("loop failed and goes on", loop=name)
        await asyncio.sleep(every_seconds)


@asynccontextmanager
async def repeating(name: str, step: Step, every_seconds: float, *, after_seconds: float = 0.0) -> AsyncIterator[None]:
    """Does so for as long as the block lasts; the step has ended when the block has."""
    task = asyncio.create_task(forever(name, step, every_seconds, after_seconds=after_seconds), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
