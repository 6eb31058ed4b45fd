"""One engine process and the thread that keeps it: starts it, talks with it, and replaces it when it dies.

The thread does one thing after another, so that the answers of two calls are never mixed, and posts to the event
loop whatever comes.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes import c_long
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import structlog

from services.voice.engine.port import Language, Refines, Tier

log: structlog.stdlib.BoundLogger = structlog.get_logger("engine")

RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0
_spawn = multiprocessing.get_context("spawn")

Serve = Callable[[Connection, c_long, Path | None, int], None]
"""What runs in an engine process: see `engine_process.main`."""


@dataclass(frozen=True)
class EngineInfo:
    """Which engine this is."""

    name: str
    model_hash: str
    sample_rate: int
    tiers: frozenset[Tier]
    refines: Refines
    languages: Sequence[Language]


class EngineDied(Exception):
    """The engine process ended in the middle of its work."""


@dataclass(frozen=True)
class Call:
    """A request under way, and what has been answered so far; the last answer is an end, an error or a failure."""

    number: int
    request: tuple[Any, ...]
    answers: asyncio.Queue[tuple[str, Any]] = field(default_factory=asyncio.Queue)


class EngineThread:
    """Keeps one engine process. Public methods are for the event loop; the thread runs `_live` and what is below it."""

    def __init__(
        self,
        serve: Serve,
        arguments: tuple[Path | None, int],
        answer_seconds: float,
        loaded: Callable[[EngineInfo], None],
        free: Callable[[EngineThread], None],
    ) -> None:
        """`loaded` and `free` are called in the event loop: after each start, and whenever there is nothing to do."""
        self._serve, self._arguments, self._answer_seconds = serve, arguments, answer_seconds
        self._tell_loaded, self._tell_free = loaded, free
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._count = 0
        # Plain memory: a process killed while it holds the lock of an Event would block whoever sets it.
        self._given_up: c_long = _spawn.RawValue(c_long, 0)
        self._starting = threading.Lock()
        self._stopping = threading.Event()
        self._ended = asyncio.Event()
        self._process: SpawnProcess | None = None
        self._stuck = False
        self.broken = False
        """Whether its last start failed."""

    def start(self) -> None:
        """Starts the thread, which starts the process."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._live, name="engine", daemon=True).start()

    @property
    def pid(self) -> int:
        """Of the process; 0 if there is none."""
        return (self._process and self._process.pid) or 0

    def begin(self, request: tuple[Any, ...]) -> Call:
        """Has a request done, of a process that is free."""
        self._count += 1
        call = Call(self._count, request)
        if self._stopping.is_set():
            call.answers.put_nowait(("error", EngineDied("the voice engine has been stopped")))
        self._calls.put(call)
        return call

    def give_up(self, call: Call) -> None:
        """Stops the work of a call, if it is still under way."""
        self._given_up.value = max(self._given_up.value, call.number)

    async def stop(self) -> None:
        """Ends the process, whatever it does, and the thread."""
        self._stopping.set()
        self._calls.put(None)
        with self._starting:
            if self._process is not None:
                self._process.kill()
        await self._ended.wait()

    def _live(self) -> None:
        wait = RESTART_SECONDS
        while not self._stopping.is_set():
            pipe = None
            try:
                pipe = self._start()
                self._load(pipe)
                wait = RESTART_SECONDS
                self._post(self._tell_free, self)
                while (call := self._calls.get()) is not None and self._answer(call, pipe):
                    self._post(self._tell_free, self)
            except Exception as error:
                self.broken = True
                if not self._stopping.is_set():
                    log.error("engine not loaded", error=str(error) or repr(error))
                self._stopping.wait(wait)
                wait = min(wait * 2, LONGEST_RESTART_SECONDS)
            finally:
                self._end(pipe)
        self._post(self._ended.set)

    def _start(self) -> Connection:
        with self._starting:
            if self._stopping.is_set():
                raise self._died()
            self._stuck = False
            pipe, theirs = _spawn.Pipe()
            process = _spawn.Process(target=self._serve, args=(theirs, self._given_up, *self._arguments), daemon=True)
            try:
                process.start()
            except BaseException:
                pipe.close()
                raise
            finally:
                theirs.close()
            self._process = process
            return pipe

    def _load(self, pipe: Connection) -> None:
        try:
            with self._limited():
                kind, value = pipe.recv()
        except (EOFError, OSError):
            raise self._died() from None
        if kind == "error":
            raise value
        if kind == "failed":
            raise RuntimeError(value)
        info = EngineInfo(*value)
        self.broken = False
        log.info("engine loaded", engine=info.name, pid=self.pid)
        self._post(self._tell_loaded, info)

    def _answer(self, call: Call, pipe: Connection) -> bool:
        """Has a call done, and always ends its answers. Whether the process is fit for another."""
        try:
            with self._limited():
                pipe.send((call.number, *call.request))
            kind = ""
            while kind not in ("end", "error", "failed"):
                with self._limited():
                    kind, value = pipe.recv()
                self._post(call.answers.put_nowait, (kind, value))
            return True
        except (EOFError, OSError):
            self._post(call.answers.put_nowait, ("error", self._died()))
        except Exception:
            # What came cannot be read, so that nobody knows what comes next.
            self._post(call.answers.put_nowait, ("failed", traceback.format_exc()))
        return False

    def _end(self, pipe: Connection | None) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
        if pipe is not None:
            pipe.close()

    @contextmanager
    def _limited(self) -> Iterator[None]:
        """Kills the process if the block, which waits for it, takes too long."""
        timer = threading.Timer(self._answer_seconds, self._kill_stuck)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _kill_stuck(self) -> None:
        self._stuck = True
        if self._process is not None:
            self._process.kill()

    def _died(self) -> EngineDied:
        if self._stuck:
            return EngineDied(f"the engine process gave no answer for {self._answer_seconds:g} seconds")
        return EngineDied("the engine process ended in the middle of its work")

    def _post(self, tell: Callable[..., None], *arguments: Any) -> None:
        # The loop may have ended without waiting for this thread.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell, *arguments)
