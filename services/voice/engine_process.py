"""What runs in an engine process: the models, loaded once, and one request after another.

Answers are pairs `(kind, value)`: first `("loaded", (name, model hash, sample rate))`; then for each request
any number of `("progress", (stage, percent))` and `("samples", array)`, and last `("end", result)` or
`("error", EngineError)`.
"""

from __future__ import annotations

import signal
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from services.voice.engine import assets
from services.voice.engine.clone import KokoroEngine
from services.voice.engine.errors import Cancelled, EngineError
from services.voice.engine.port import Engine


def main(pipe: Connection, cancelled: Event, models: Path | None, threads: int) -> None:
    """Serves requests until the other end of the pipe is gone."""
    # Ctrl-C reaches the whole group; the parent decides what becomes of the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        try:
            engine = KokoroEngine(assets.load(models), threads=threads)
        except EngineError as error:
            pipe.send(("error", error))
            return
        pipe.send(("loaded", (engine.name, engine.model_hash, engine.sample_rate)))
        while True:
            _serve(engine, pipe, cancelled, pipe.recv())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _serve(engine: Engine, pipe: Connection, cancelled: Event, request: tuple[Any, ...]) -> None:
    kind, *arguments = request
    try:
        if kind == "enrol":
            (recordings,) = arguments
            enrolment = engine.enrol(
                recordings,
                progress=lambda stage, percent: pipe.send(("progress", (stage, percent))),
                cancelled=cancelled.is_set,
            )
            pipe.send(("enrolment", enrolment))
        else:
            artefact, text, speed = arguments
            for samples in engine.speak(artefact, text, speed=speed, cancelled=cancelled.is_set):
                pipe.send(("samples", samples))
        pipe.send(("end", None))
    except Cancelled:
        pipe.send(("end", None))
    except EngineError as error:
        pipe.send(("error", error))
