"""An engine without models, whose texts are orders: what runs in the processes that tests start."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from ctypes import c_long
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from services.voice import engine_process
from services.voice.engine.errors import Cancelled, RefinementUnavailable, Silent, TextEmpty, TranscriptUnclear
from services.voice.engine.port import (
    DEFAULT_LANGUAGE,
    CancelCheck,
    Chunk,
    Depth,
    Enrolment,
    Language,
    Markup,
    Progress,
    Refinement,
    Refines,
    Tier,
    never,
    unheard,
)
from services.voice.engine.report import Expectation, Report


class Unreadable:
    """Can be sent, and not be received."""

    def __reduce__(self) -> tuple[object, ...]:
        return (int, ("no number",))


REPORT = Report(1, 10.0, 8.0, 8.0, 16000, 1, ("flac",), 40.0, 0.0, 7000, 170.0, (), 0.3, 0.9, 0.8, Expectation.GOOD, ())


class FakeEngine:
    """Speaks `count n` as n chunks of its speed, and does other orders."""

    name = "fake"
    model_hash = "0" * 64
    tiers = frozenset({Tier.NATURAL})
    refines = Refines.GIVEN_WORDS
    languages = (Language("en-US"), Language("xx", "the fake extra"))

    @property
    def sample_rate(self) -> int:
        """The process, for tests to know it by."""
        return os.getpid()

    def enrol(
        self, recordings: Sequence[bytes], *, progress: Progress = unheard, cancelled: CancelCheck = never
    ) -> Enrolment:
        """Gives the recordings back; works until cancelled if there are none."""
        progress("hearing", 10)
        while not recordings:
            _pause(cancelled)
        progress("done", 100)
        return Enrolment(b"".join(recordings), REPORT)

    def refine(
        self,
        artefact: bytes,
        recordings: Sequence[bytes],
        *,
        transcripts: Sequence[str] = (),
        depth: Depth = Depth.STANDARD,
        progress: Progress = unheard,
        cancelled: CancelCheck = never,
    ) -> Refinement:
        """Does what the first transcript says: comes nearer by so much, or finds out that it cannot."""
        progress("listening", 5)
        order, _, argument = (transcripts[0] if transcripts else "nothing").partition(" ")
        if order == "nothing":
            raise RefinementUnavailable()
        if order == "unclear":
            raise TranscriptUnclear()
        if order == "once" and not Path(argument).exists():
            Path(argument).touch()
            os._exit(3)
        progress("fitting", 50)
        while order == "until" and not Path(argument).exists():
            _pause(cancelled)
        progress("done", 100)
        gain = float(argument) if order == "nearer" else 0.1
        fitted = f"{depth} {os.getpriority(os.PRIO_PROCESS, 0)} ".encode() + artefact
        return Refinement(fitted if gain > 0 else artefact, gain > 0, 0.5, 0.5 + gain, steps=1)

    def speak(
        self,
        artefact: bytes,
        text: str,
        *,
        language: str = DEFAULT_LANGUAGE,
        markup: Markup = Markup.PLAIN,
        speed: float = 1.0,
        tier: Tier = Tier.NATURAL,
        cancelled: CancelCheck = never,
    ) -> Iterator[Chunk]:
        """Does what the text says."""
        order, _, number = text.partition(" ")
        if order == "empty":
            raise TextEmpty()
        return self._spoken(order, int(number or 0), speed, cancelled)

    def convert(
        self,
        artefact: bytes,
        recording: bytes,
        *,
        transcript: str = "",
        maximum_seconds: float = 0.0,
        progress: Progress = unheard,
        cancelled: CancelCheck = never,
    ) -> Iterator[Chunk]:
        """Gives a chunk for each byte of the recording, then one of the transcript's length and the maximum."""
        progress("listening", 0)
        if not recording:
            raise Silent()
        sizes = [*recording, len(transcript), int(maximum_seconds)]
        return (Chunk(np.zeros(size, np.float32)) for size in sizes)

    def _spoken(self, order: str, number: int, speed: float, cancelled: CancelCheck) -> Iterator[Chunk]:
        if order == "count":
            for _ in range(number):
                yield Chunk(np.full(10, speed, np.float32))
                time.sleep(0.001)
        elif order == "forever":
            while True:
                yield Chunk(np.full(10, speed, np.float32))
                _pause(cancelled)
        elif order == "defect":
            yield Chunk(np.zeros(1, np.float32))
            raise ValueError("a defect of the fake engine")
        elif order == "unpicklable":
            yield lambda: None  # type: ignore[misc]
        elif order == "unreadable":
            yield Unreadable()  # type: ignore[misc]
        elif order == "die":
            yield Chunk(np.zeros(1, np.float32))
            os._exit(3)
        elif order == "stuck":
            yield Chunk(np.zeros(1, np.float32))
            time.sleep(600)


def main(
    pipe: Connection,
    given_up: c_long,
    models: Path | None,
    threads: int,
    *,
    engine: str = "",
    niceness: int = 0,
) -> None:
    """As `engine_process.main`; takes ever to load if the models are at `/slow`, fails if at `/broken`."""
    os.nice(niceness)
    engine_process.serve(pipe, given_up, lambda: _loaded(models))


def _loaded(models: Path | None) -> FakeEngine:
    if models == Path("/slow"):
        time.sleep(600)
    if models == Path("/broken"):
        raise ValueError("broken models")
    return FakeEngine()


def _pause(cancelled: CancelCheck) -> None:
    time.sleep(0.005)
    if cancelled():
        raise Cancelled()
