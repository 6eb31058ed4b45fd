"""Engine processes: where voices are learned and texts are spoken, apart from any event loop.

The models are loaded once per process. A process does one thing at a time; what comes meanwhile waits in a
short line, and beyond that is refused. Giving up a call stops its work. A process that dies is replaced.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import structlog

from services.mesh import errors
from services.voice import engine_process
from services.voice.engine.errors import EngineError
from services.voice.engine.port import Enrolment, Samples

log: structlog.stdlib.BoundLogger = structlog.get_logger("engine")

BUSY_SECONDS = 2.0
RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0
_spawn = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class EngineInfo:
    """Which engine this is."""

    name: str
    model_hash: str
    sample_rate: int


class EngineDied(Exception):
    """The engine process ended in the middle of its work."""


class EngineHost:
    """Engine processes and the line before them."""

    def __init__(self, models: Path | None, *, processes: int, threads: int, waiting: int) -> None:
        self._idle: asyncio.Queue[_Process] = asyncio.Queue()
        self._processes = [_Process(models, threads) for _ in range(processes)]
        self._room = processes + waiting
        self._inside = 0
        self._background: set[asyncio.Task[None]] = set()
        self._info: EngineInfo | None = None
        self._loaded = asyncio.Event()

    @property
    def info(self) -> EngineInfo:
        """Which engine it is.

        Raises:
            Unavailable: none has been loaded yet (ENGINE_NOT_READY).
        """
        if self._info is None:
            raise errors.Unavailable("ENGINE_NOT_READY", "the voice engine is starting", retry_after=BUSY_SECONDS)
        return self._info

    async def loaded(self) -> EngineInfo:
        """Waits until an engine has been loaded."""
        await self._loaded.wait()
        return self.info

    async def ping(self) -> None:
        """Returns if an engine has been loaded.

        Raises:
            Unavailable: none has (ENGINE_NOT_READY).
        """
        self.info  # noqa: B018

    async def enrol(self, recordings: Sequence[bytes], progress: Callable[[str, int], None]) -> Enrolment:
        """Learns a voice; `progress` is told stage and per cent.

        Raises:
            EngineError: as `Engine.enrol`.
            EngineDied: the process ended in the middle.
            ResourceExhausted: the line is full (ENGINE_BUSY).
        """
        async with aclosing(self._call("enrol", list(recordings))) as answers:
            async for kind, value in answers:
                if kind == "progress":
                    progress(*value)
                else:
                    enrolment: Enrolment = value
        return enrolment

    async def speak(self, artefact: bytes, text: str, speed: float) -> AsyncGenerator[Samples, None]:
        """Speaks a text, a sentence at a time.

        Raises:
            EngineError: as `Engine.speak`.
            EngineDied: the process ended in the middle.
            ResourceExhausted: the line is full (ENGINE_BUSY).
        """
        async with aclosing(self._call("speak", artefact, text, speed)) as answers:
            async for _, samples in answers:
                yield samples

    async def _call(self, *request: Any) -> AsyncGenerator[tuple[str, Any], None]:
        if self._inside >= self._room:
            raise errors.ResourceExhausted("ENGINE_BUSY", "too much is being spoken just now", retry_after=BUSY_SECONDS)
        self._inside += 1
        try:
            process = await self._idle.get()
        except BaseException:
            self._inside -= 1
            raise
        answers: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        # The engine is free again when its work is done, however slowly the caller takes the answers.
        work = self._in_background(self._work(process, request, answers))
        try:
            while True:
                kind, value = await answers.get()
                if kind == "error":
                    raise value
                if kind == "end":
                    return
                yield kind, value
        finally:
            if not work.done():
                process.give_up()

    async def _work(self, process: _Process, request: Any, answers: asyncio.Queue[tuple[str, Any]]) -> None:
        try:
            await process.run(request, answers.put_nowait)
        except (EngineError, EngineDied, errors.MeshError) as error:
            answers.put_nowait(("error", error))
        finally:
            self._inside -= 1
            self._in_background(self._make_ready(process))

    async def _make_ready(self, process: _Process) -> None:
        """Puts a process into the line, started anew if it has died; keeps trying."""
        wait = RESTART_SECONDS
        while True:
            try:
                self._info = await process.ready()
                self._loaded.set()
                break
            except (EngineError, EngineDied) as error:
                log.error("engine not loaded", error=str(error))
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_RESTART_SECONDS)
        self._idle.put_nowait(process)

    def _in_background(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    async def start(self) -> None:
        """Starts all processes; does not wait for them."""
        for process in self._processes:
            self._in_background(self._make_ready(process))

    async def stop(self) -> None:
        """Ends all processes, whatever they do."""
        for task in list(self._background):
            task.cancel()
        for process in self._processes:
            process.kill()
        await asyncio.gather(*self._background, return_exceptions=True)


@asynccontextmanager
async def open_engine(models: Path | None, *, processes: int, threads: int, waiting: int) -> AsyncIterator[EngineHost]:
    """Engine processes that end with the block."""
    host = EngineHost(models, processes=processes, threads=threads, waiting=waiting)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


class _Process:
    """One engine process and the pipe to it."""

    def __init__(self, models: Path | None, threads: int) -> None:
        self._arguments = (models, threads)
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None
        self._cancelled: Event = _spawn.Event()
        self._info: EngineInfo | None = None

    async def ready(self) -> EngineInfo:
        """Starts the process if it is not alive, and waits until its models are loaded."""
        if self._process is None or not self._process.is_alive() or self._info is None:
            await asyncio.to_thread(self._start)
            self._info = EngineInfo(*(await self._receive())[1])
            log.info("engine loaded", engine=self._info.name, pid=self._process.pid if self._process else 0)
        return self._info

    async def run(self, request: Any, answer: Callable[[tuple[str, Any]], None]) -> None:
        """Has a request done; answers as the process answers, then `("end", None)`."""
        self._cancelled.clear()
        assert self._pipe is not None
        try:
            await asyncio.to_thread(self._pipe.send, request)
        except OSError:
            raise self._died() from None
        while True:
            kind, value = await self._receive()
            answer((kind, value))
            if kind == "end":
                return

    def give_up(self) -> None:
        """Tells the process to stop what it does."""
        self._cancelled.set()

    def kill(self) -> None:
        """Ends the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _start(self) -> None:
        self.kill()
        self._info = None
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(
            target=engine_process.main, args=(theirs, self._cancelled, *self._arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    async def _receive(self) -> tuple[str, Any]:
        pipe = self._pipe
        if pipe is None:
            raise self._died()
        try:
            kind, value = await asyncio.to_thread(pipe.recv)
        except (EOFError, OSError):
            raise self._died() from None
        if kind == "error":
            raise value
        return kind, value

    def _died(self) -> EngineDied:
        self._info = None
        return EngineDied("the engine process ended in the middle of its work")
