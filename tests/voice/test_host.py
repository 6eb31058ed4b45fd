"""The line before the engine processes, and what becomes of processes that fail; with an engine without models."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import structlog

from services.mesh import errors
from services.voice import engine_thread, texts
from services.voice.engine.errors import EngineFailed, Silent, TextEmpty
from services.voice.host import EngineDied, EngineHost, open_engine
from tests.voice import fake_engine

ROOT = Path(__file__).parents[2]
LIMIT = 30.0
"""Seconds that anything may take on a busy machine; nothing waits that long when all is well."""


def engine(models: str = "/", **options: Any) -> AbstractAsyncContextManager[EngineHost]:
    """A host of fake engines: one process and three places in line unless told."""
    settings = {"processes": 1, "threads": 1, "waiting": 3, "serve": fake_engine.main} | options
    return open_engine(Path(models), **settings)


def unheard(stage: str, percent: int) -> None:
    """Takes no notice of progress."""


async def speak(host: EngineHost, text: str, speed: float = 1.0) -> list[float]:
    """The first sample of each chunk."""
    async with asyncio.timeout(LIMIT), aclosing(host.speak(b"", text, speed)) as spoken:
        return [float(chunk.samples[0]) async for chunk in spoken]


async def pid(host: EngineHost) -> int:
    """Of the process that was loaded last, which calls itself by it."""
    async with asyncio.timeout(LIMIT):
        return (await host.loaded()).sample_rate


async def until(happened: Callable[[], object]) -> None:
    """Waits for something that will happen."""
    async with asyncio.timeout(LIMIT):
        while not happened():
            await asyncio.sleep(0.01)


def children() -> set[int]:
    """The living engine processes of this process."""
    return {
        child.pid
        for child in psutil.Process().children()
        if child.status() != psutil.STATUS_ZOMBIE and "spawn_main" in " ".join(child.cmdline())
    }


async def test_calls_at_once_do_not_mix() -> None:
    async with engine(processes=2, waiting=10) as host:
        spoken = await asyncio.gather(*(speak(host, f"count {20 + n}", float(n)) for n in range(12)))

    assert spoken == [[float(n)] * (20 + n) for n in range(12)]


async def test_a_conversion_takes_the_recording_its_words_and_its_longest_length() -> None:
    async with engine() as host:
        async with aclosing(host.convert(b"", b"\x03\x05", "words", 60.0)) as converted:
            sizes = [chunk.samples.size async for chunk in converted]
        with pytest.raises(Silent):
            await anext(host.convert(b"", b"", "", 60.0))

    assert sizes == [3, 5, 5, 60]


async def test_enrolment_with_its_progress() -> None:
    told: list[tuple[str, int]] = []
    async with engine() as host:
        enrolment = await host.enrol([b"one", b"two"], lambda *stage: told.append(stage))

    assert enrolment.artefact == b"onetwo"
    assert told == [("hearing", 10), ("done", 100)]


async def test_beyond_the_line_calls_are_refused() -> None:
    async with engine(waiting=1) as host, aclosing(host.speak(b"", "forever", 1.0)) as first:
        await anext(first)
        second = asyncio.create_task(speak(host, "count 3"))
        await asyncio.sleep(0)
        with pytest.raises(errors.ResourceExhausted) as raised:
            await speak(host, "count 1")
        await first.aclose()

        assert raised.value.reason == "ENGINE_BUSY"
        assert raised.value.retry_after
        assert await second == [1.0] * 3


async def test_who_waits_too_long_is_refused() -> None:
    async with engine(line_seconds=0.2) as host:
        await pid(host)
        async with aclosing(host.speak(b"", "forever", 1.0)) as first:
            await anext(first)
            with pytest.raises(errors.ResourceExhausted) as raised:
                await speak(host, "count 1")
            still = await anext(first)

    assert raised.value.reason == "ENGINE_BUSY"
    assert still.samples[0] == 1.0


async def test_a_slow_reader_keeps_its_place_but_not_the_process() -> None:
    async with engine(waiting=1) as host, aclosing(host.speak(b"", "count 5", 1.0)) as slow:
        await anext(slow)

        assert await speak(host, "count 2", 2.0) == [2.0] * 2

        async with aclosing(host.speak(b"", "count 5", 3.0)) as slower:
            await anext(slower)
            with pytest.raises(errors.ResourceExhausted):
                await speak(host, "count 1")
        assert [chunk.samples[0] async for chunk in slow] == [1.0] * 4


async def test_giving_up_a_call_frees_the_process_of_it() -> None:
    async with engine(waiting=0) as host:
        first = await pid(host)
        async with aclosing(host.speak(b"", "forever", 1.0)) as spoken:
            await anext(spoken)
        learning = asyncio.create_task(host.enrol([], unheard))
        await asyncio.sleep(0.1)
        learning.cancel()
        await asyncio.wait({learning})

        assert learning.cancelled()
        assert await speak(host, "count 2") == [1.0] * 2
        assert await pid(host) == first


async def test_giving_up_a_call_that_is_done_does_not_stop_the_next() -> None:
    async with engine() as host:
        first = host.speak(b"", "count 1", 1.0)
        await anext(first)
        async with aclosing(host.speak(b"", "forever", 2.0)) as second:
            await anext(second)
            await first.aclose()
            spoken = [(await anext(second)).samples[0] for _ in range(50)]

    assert spoken == [2.0] * 50


async def test_a_call_given_up_in_line_takes_nothing() -> None:
    async with engine() as host, aclosing(host.speak(b"", "forever", 1.0)) as first:
        await anext(first)
        waiting = [asyncio.create_task(speak(host, "count 1")) for _ in range(3)]
        await asyncio.sleep(0)
        for each in waiting[:2]:
            each.cancel()
        await asyncio.wait(waiting[:2])
        await first.aclose()

        assert await waiting[2] == [1.0]
        assert await asyncio.gather(*(speak(host, "count 1") for _ in range(4))) == [[1.0]] * 4


async def test_errors_of_the_engine_arrive_and_the_process_carries_on() -> None:
    async with engine() as host:
        first = await pid(host)
        with pytest.raises(TextEmpty):
            await speak(host, "empty")

        assert await speak(host, "count 1") == [1.0]
        assert await pid(host) == first


@pytest.mark.parametrize("order", ["defect", "unpicklable"])
async def test_a_defect_is_told_and_logged_and_the_process_carries_on(order: str) -> None:
    async with engine() as host:
        first = await pid(host)
        with structlog.testing.capture_logs() as logs, pytest.raises(EngineFailed) as raised:
            await speak(host, order)

        assert raised.value.reason == "ENGINE_FAILED"
        assert [entry["event"] for entry in logs] == ["engine failed"]
        assert "Traceback" in logs[0]["traceback"]
        assert await speak(host, "count 1") == [1.0]
        assert await pid(host) == first


async def test_after_an_answer_that_cannot_be_read_the_process_is_replaced() -> None:
    async with engine() as host:
        first = await pid(host)
        with pytest.raises(EngineFailed):
            await speak(host, "unreadable")

        assert await speak(host, "count 1") == [1.0]
        assert await pid(host) != first


async def test_a_process_that_dies_in_mid_call_is_replaced() -> None:
    async with engine() as host:
        first = await pid(host)
        with pytest.raises(EngineDied):
            await speak(host, "die")

        assert await speak(host, "count 2") == [1.0] * 2
        assert await pid(host) != first


async def test_a_process_that_was_killed_is_replaced() -> None:
    async with engine() as host, aclosing(host.speak(b"", "forever", 1.0)) as spoken:
        await anext(spoken)
        psutil.Process(await pid(host)).kill()
        with pytest.raises(EngineDied):
            async for _ in spoken:
                pass

        assert await speak(host, "count 2") == [1.0] * 2


async def test_a_stuck_process_is_ended_and_replaced() -> None:
    async with engine(answer_seconds=3.0) as host:
        first = await pid(host)
        with pytest.raises(EngineDied, match="no answer for 3 seconds"):
            await speak(host, "stuck")

        assert await speak(host, "count 2") == [1.0] * 2
        assert await pid(host) != first
        assert not psutil.pid_exists(first)


async def test_a_stopped_process_is_ended_though_it_takes_no_request() -> None:
    async with engine(answer_seconds=3.0) as host:
        psutil.Process(await pid(host)).suspend()
        with pytest.raises(EngineDied):
            await asyncio.wait_for(host.enrol([bytes(1 << 24)], unheard), LIMIT)

        assert await speak(host, "count 2") == [1.0] * 2


async def test_a_start_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    real, tries = engine_thread._spawn.Process, []

    def sometimes(*arguments: object, **named: object) -> object:
        tries.append(1)
        if len(tries) in (1, 3):
            raise BlockingIOError("no more processes")
        return real(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(engine_thread, "RESTART_SECONDS", 0.1)
    monkeypatch.setattr(engine_thread._spawn, "Process", sometimes)
    async with engine() as host:
        spoken = await speak(host, "count 1")
        with pytest.raises(EngineDied):
            await speak(host, "die")
        again = await speak(host, "count 1")

    assert spoken == again == [1.0]
    assert len(tries) == 4


async def test_ping_fails_when_no_process_can_be_started_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **named: object) -> object:
        raise OSError("no more memory")

    async with engine() as host:
        with pytest.raises(errors.Unavailable):
            await host.ping()
        await pid(host)
        await host.ping()
        monkeypatch.setattr(engine_thread._spawn, "Process", never)
        with pytest.raises(EngineDied):
            await speak(host, "die")
        await until(lambda: host._processes[0].broken)
        with pytest.raises(errors.Unavailable) as raised:
            await host.ping()

    assert raised.value.reason == "ENGINE_NOT_READY"


async def test_only_a_language_that_is_named_waits_for_the_engine_and_is_one_of_its_own() -> None:
    async with engine() as host:
        unasked = texts.language("", lambda: host.info.languages)
        with pytest.raises(errors.Unavailable):
            texts.language("en", lambda: host.info.languages)
        await pid(host)
        asked = texts.language("en", lambda: host.info.languages)
        with pytest.raises(errors.InvalidArgument) as raised:
            texts.language("xx", lambda: host.info.languages)

    assert (unasked.tag, asked.tag) == ("en-US", "en-US")
    assert raised.value.reason == "LANGUAGE_UNSUPPORTED"
    assert raised.value.metadata == {"supported": "en-US", "needs": "the fake extra"}


async def test_models_that_cannot_be_loaded_are_logged() -> None:
    with structlog.testing.capture_logs() as logs:
        async with engine("/broken"):
            await until(lambda: logs)

    assert logs[0]["event"] == "engine not loaded"
    assert "broken models" in logs[0]["error"]


@pytest.mark.parametrize("models", ["/slow", "/broken", "/"])
async def test_stopping_is_quick_and_leaves_no_process(models: str) -> None:
    before = children()
    async with engine(models, processes=2) as host:
        await until(lambda: len(children() - before) == 2)
        if models == "/":
            await pid(host)
        started = time.monotonic()
    took = time.monotonic() - started

    assert took < LIMIT / 3
    assert children() == before


async def test_stopping_in_mid_call_ends_the_call_and_starts_nothing() -> None:
    before = children()
    async with engine() as host:
        spoken = host.speak(b"", "forever", 1.0)
        await anext(spoken)
    with pytest.raises(EngineDied):
        async with asyncio.timeout(LIMIT):
            async for _ in spoken:
                pass
    await asyncio.sleep(engine_thread.RESTART_SECONDS)

    assert children() == before


async def test_a_call_after_the_stop_ends() -> None:
    async with engine(line_seconds=0.2) as host:
        await pid(host)
    with pytest.raises((EngineDied, errors.ResourceExhausted)):
        await speak(host, "count 1")


@pytest.mark.parametrize("order", ["stuck", "forever"])
async def test_a_process_ends_with_its_parent_in_the_middle_of_work(order: str, tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(
        "import asyncio, sys\n"
        "from tests.voice.test_host import engine\n"
        "async def main():\n"
        "    async with engine() as host:\n"
        f"        async for _ in host.speak(b'', {order!r}, 1.0):\n"
        "            print(host.info.sample_rate, file=sys.stderr, flush=True)\n"
        "if __name__ == '__main__':\n"
        "    asyncio.run(main())\n"
    )
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'gen'}"}
    parent = await asyncio.create_subprocess_exec(sys.executable, program, env=environment, stderr=subprocess.PIPE)
    assert parent.stderr is not None
    child = psutil.Process(int(await parent.stderr.readline()))
    parent.kill()
    await parent.wait()

    await until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_the_fake_speaks_as_the_engine_does() -> None:
    chunk = next(fake_engine.FakeEngine().speak(b"", "count 1", speed=2.0))

    assert np.array_equal(chunk.samples, np.full(10, 2, np.float32))
