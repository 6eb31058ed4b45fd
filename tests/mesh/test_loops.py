"""Loops go on, whatever their steps do, and end with their block."""

from __future__ import annotations

import asyncio

import pytest

from services.mesh import errors, loops


class Steps:
    """A step that fails as told, and notes that it was taken."""

    def __init__(self, *failures: Exception) -> None:
        self.taken = 0
        self.well = asyncio.Event()
        self._failures = list(failures)

    async def __call__(self) -> None:
        self.taken += 1
        if self._failures:
            raise self._failures.pop(0)
        self.well.set()


async def test_a_failed_step_is_not_the_last(capfd: pytest.CaptureFixture[str]) -> None:
    steps = Steps(ValueError("a bug"), errors.Unavailable("DATABASE_UNAVAILABLE", "away"), TimeoutError())

    async with loops.repeating("chores", steps, 0.001), asyncio.timeout(5):
        await steps.well.wait()

    logged = capfd.readouterr().out
    assert "a bug" in logged
    assert "Traceback" in logged
    assert "chores" in logged
    assert "DATABASE_UNAVAILABLE" in logged


async def test_the_step_has_ended_when_the_block_has() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def step() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            ended.set()

    async with loops.repeating("chores", step, 0.001):
        await began.wait()

    assert ended.is_set()


async def test_an_error_of_the_block_comes_out_of_it_and_ends_the_loop() -> None:
    steps = Steps()

    with pytest.raises(LookupError):
        async with loops.repeating("chores", steps, 0.001):
            await steps.well.wait()
            raise LookupError
    taken = steps.taken
    await asyncio.sleep(0.02)

    assert steps.taken == taken


async def test_the_first_step_can_be_put_off() -> None:
    steps = Steps()

    async with loops.repeating("chores", steps, 0.001, after_seconds=30):
        await asyncio.sleep(0.02)

    assert steps.taken == 0
