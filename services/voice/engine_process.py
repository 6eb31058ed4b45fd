"""What runs in an engine process: the models, loaded once, and one request after another.

Requests are tuples `(number, kind, *arguments)`, numbered upwards. Answers are pairs `(kind, value)`: first
`("loaded", (name, model hash, sample rate, tiers, refines, languages))`; then for each request any number of
`("progress", (stage, percent))`, `("enrolment", Enrolment)`, `("refinement", Refinement)` and `("chunk", Chunk)`, and
last `("end", None)`, `("error", EngineError)` or `("failed", traceback)`, which is a defect of the engine that the
process survived.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from ctypes import c_long
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from services.voice.engine.errors import Cancelled, EngineError
from services.voice.engine.port import Engine
from services.voice.engine.registry import DEFAULT, load


class _ParentGone(Exception):
    """Nobody is at the other end of the pipe."""


def main(
    pipe: Connection,
    given_up: c_long,
    models: Path | None,
    threads: int,
    *,
    engine: str = DEFAULT,
    niceness: int = 0,
) -> None:
    """Loads the engine of this name and serves requests until the other end of the pipe is gone.

    `niceness` is how far it stands back from what else the machine does (nice(2), 0 to 19).
    """
    os.nice(niceness)
    serve(pipe, given_up, lambda: load(engine, models=models, threads=threads))


def serve(pipe: Connection, given_up: c_long, loading: Callable[[], Engine]) -> None:
    """Serves requests to an engine; those whose number is not above `given_up` are to be stopped."""
    # Ctrl-C reaches the whole group; the parent decides what becomes of the work.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()

    def answer(kind: str, value: Any) -> None:
        try:
            pipe.send((kind, value))
        except OSError:
            raise _ParentGone from None

    try:
        engine = _loaded(loading, answer)
        while engine is not None:
            try:
                number, *request = pipe.recv()
            except (EOFError, OSError):
                return
            _do(engine, request, answer, partial(_is_given_up, given_up, number))
    except _ParentGone:
        return


def _is_given_up(given_up: c_long, number: int) -> bool:
    return given_up.value >= number


def _loaded(loading: Callable[[], Engine], answer: Callable[[str, Any], None]) -> Engine | None:
    try:
        engine = loading()
    except EngineError as error:
        answer("error", error)
        return None
    except Exception:
        answer("failed", traceback.format_exc())
        return None
    info = (engine.name, engine.model_hash, engine.sample_rate, engine.tiers, engine.refines, engine.languages)
    answer("loaded", info)
    return engine


def _do(engine: Engine, request: list[Any], answer: Callable[[str, Any], None], cancelled: Callable[[], bool]) -> None:
    kind, *arguments = request
    try:
        if kind == "enrol":
            (recordings,) = arguments
            enrolment = engine.enrol(
                recordings,
                progress=lambda stage, percent: answer("progress", (stage, percent)),
                cancelled=cancelled,
            )
            answer("enrolment", enrolment)
        elif kind == "refine":
            artefact, recordings, transcripts, depth = arguments
            refinement = engine.refine(
                artefact,
                recordings,
                transcripts=transcripts,
                depth=depth,
                progress=lambda stage, percent: answer("progress", (stage, percent)),
                cancelled=cancelled,
            )
            answer("refinement", refinement)
        elif kind == "convert":
            artefact, recording, transcript, maximum_seconds = arguments
            chunks = engine.convert(
                artefact,
                recording,
                transcript=transcript,
                maximum_seconds=maximum_seconds,
                progress=lambda stage, percent: answer("progress", (stage, percent)),
                cancelled=cancelled,
            )
            for chunk in chunks:
                answer("chunk", chunk)
        else:
            artefact, text, speed, markup, tier, language = arguments
            chunks = engine.speak(
                artefact, text, language=language, markup=markup, speed=speed, tier=tier, cancelled=cancelled
            )
            for chunk in chunks:
                answer("chunk", chunk)
        answer("end", None)
    except Cancelled:
        answer("end", None)
    except EngineError as error:
        answer("error", error)
    except _ParentGone:
        raise
    except MemoryError:
        # What the process holds cannot be told from what it leaked: a new one starts clean.
        print(json.dumps({"event": "engine out of memory", "exception": traceback.format_exc()}), file=sys.stderr)
        sys.exit(1)
    except Exception:
        answer("failed", traceback.format_exc())


def _end_with_parent() -> None:
    """Ends this process when its parent dies, also in the middle of work that sends nothing."""
    parent = multiprocessing.parent_process()
    while parent is not None:
        if os.getppid() != parent.pid or not parent.is_alive():
            os._exit(1)
        parent.join(timeout=1.0)
