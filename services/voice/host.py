"""Engine processes: where voices are learned and texts are spoken, apart from any event loop.

The models are loaded once per process. A process does one thing at a time; what comes meanwhile waits in a
short line, for a short time, and beyond that is refused. Giving up a call stops its work. A process that dies or
gives no answer is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import structlog

from services.mesh import errors
from services.voice import engine_process
from services.voice.engine.errors import EngineFailed
from services.voice.engine.port import DEFAULT_LANGUAGE, Chunk, Depth, Enrolment, Markup, Refinement, Tier
from services.voice.engine_thread import EngineDied, EngineInfo, EngineThread, Serve

__all__ = ["EngineDied", "EngineHost", "EngineInfo", "open_engine"]

log: structlog.stdlib.BoundLogger = structlog.get_logger("engine")

BUSY_SECONDS = 2.0


class EngineHost:
    """Engine processes and the line before them."""

    def __init__(
        self,
        models: Path | None,
        *,
        processes: int,
        threads: int,
        waiting: int,
        line_seconds: float = 20.0,
        answer_seconds: float = 120.0,
        serve: Serve = engine_process.main,
    ) -> None:
        """A call waits `line_seconds` in line; a process that gives no answer for `answer_seconds` is replaced."""
        self._idle: asyncio.Queue[EngineThread] = asyncio.Queue()
        self._processes = [
            EngineThread(serve, (models, threads), answer_seconds, self._ready, self._idle.put_nowait)
            for _ in range(processes)
        ]
        self._room = processes + waiting
        self._inside = 0
        self._line_seconds = line_seconds
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
        """Returns if an engine has been loaded and some process is able to go on.

        Raises:
            Unavailable: none has, or no process can be started any more (ENGINE_NOT_READY).
        """
        self.info  # noqa: B018
        if all(process.broken for process in self._processes):
            raise errors.Unavailable("ENGINE_NOT_READY", "the voice engine does not start", retry_after=BUSY_SECONDS)

    async def enrol(self, recordings: Sequence[bytes], progress: Callable[[str, int], None]) -> Enrolment:
        """Learns a voice; `progress` is told stage and per cent.

        Raises:
            EngineError: as `Engine.enrol`; EngineFailed for a defect of the engine.
            EngineDied: the process ended in the middle, or was ended because it gave no answer.
            ResourceExhausted: the line is full, or does not move (ENGINE_BUSY).
        """
        async with aclosing(self._call("enrol", list(recordings))) as answers:
            async for kind, value in answers:
                if kind == "progress":
                    progress(*value)
                else:
                    enrolment: Enrolment = value
        return enrolment

    async def refine(
        self,
        artefact: bytes,
        recordings: Sequence[bytes],
        transcripts: Sequence[str],
        depth: Depth,
        progress: Callable[[str, int], None],
    ) -> Refinement:
        """Fits the engine to a person; `progress` is told stage and per cent.

        Raises:
            EngineError: as `Engine.refine`; EngineFailed for a defect of the engine.
            EngineDied: the process ended in the middle, or was ended because it gave no answer.
            ResourceExhausted: the line is full, or does not move (ENGINE_BUSY).
        """
        async with aclosing(self._call("refine", artefact, list(recordings), list(transcripts), depth)) as answers:
            async for kind, value in answers:
                if kind == "progress":
                    progress(*value)
                else:
                    refinement: Refinement = value
        return refinement

    async def speak(
        self,
        artefact: bytes,
        text: str,
        speed: float,
        markup: Markup = Markup.PLAIN,
        tier: Tier = Tier.NATURAL,
        language: str = DEFAULT_LANGUAGE,
    ) -> AsyncGenerator[Chunk, None]:
        """Speaks a text, a sentence at a time.

        Raises:
            EngineError: as `Engine.speak`; EngineFailed for a defect of the engine.
            EngineDied: the process ended in the middle, or was ended because it gave no answer.
            ResourceExhausted: the line is full, or does not move (ENGINE_BUSY).
        """
        async with aclosing(self._call("speak", artefact, text, speed, markup, tier, language)) as answers:
            async for _, chunk in answers:
                yield chunk

    async def convert(
        self, artefact: bytes, recording: bytes, transcript: str, maximum_seconds: float
    ) -> AsyncGenerator[Chunk, None]:
        """Says what somebody says in a recording, a stretch at a time.

        Raises:
            EngineError: as `Engine.convert`; EngineFailed for a defect of the engine.
            EngineDied: the process ended in the middle, or was ended because it gave no answer.
            ResourceExhausted: the line is full, or does not move (ENGINE_BUSY).
        """
        async with aclosing(self._call("convert", artefact, recording, transcript, maximum_seconds)) as answers:
            async for kind, value in answers:
                if kind == "chunk":
                    yield value

    async def _call(self, *request: Any) -> AsyncGenerator[tuple[str, Any], None]:
        # A caller that takes its answers slowly keeps its place, so that what is held for callers is bounded; the
        # engine process goes on to the next as soon as the work is done.
        if self._inside >= self._room:
            raise _busy()
        self._inside += 1
        try:
            process = await self._next()
            call = process.begin(request)
            try:
                while True:
                    kind, value = await call.answers.get()
                    if kind == "end":
                        return
                    if kind == "failed":
                        log.error("engine failed", traceback=value)
                        raise EngineFailed()
                    if kind == "error":
                        raise value
                    yield kind, value
            finally:
                process.give_up(call)
        finally:
            self._inside -= 1

    async def _next(self) -> EngineThread:
        try:
            async with asyncio.timeout(self._line_seconds):
                return await self._idle.get()
        except TimeoutError:
            raise _busy() from None

    def _ready(self, info: EngineInfo) -> None:
        self._info = info
        self._loaded.set()

    async def start(self) -> None:
        """Starts all processes; does not wait for them."""
        for process in self._processes:
            process.start()

    async def stop(self) -> None:
        """Ends all processes, whatever they do."""
        await asyncio.gather(*(process.stop() for process in self._processes))


@asynccontextmanager
async def open_engine(
    models: Path | None, *, processes: int, threads: int, waiting: int, **options: Any
) -> AsyncIterator[EngineHost]:
    """Engine processes that end with the block; `options` as of `EngineHost`."""
    host = EngineHost(models, processes=processes, threads=threads, waiting=waiting, **options)
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


def _busy() -> errors.ResourceExhausted:
    return errors.ResourceExhausted("ENGINE_BUSY", "too much is being spoken just now", retry_after=BUSY_SECONDS)
