"""Hearing whether a consent was spoken, in a process of its own: it takes seconds, and the memory of a recogniser."""

from __future__ import annotations

import asyncio
import multiprocessing
import traceback
from contextlib import suppress
from multiprocessing.connection import Connection

from services.voice import consent_checks

LONGEST_SECONDS = 600.0
_spawn = multiprocessing.get_context("spawn")


class CheckDied(Exception):
    """The process of a check ended in the middle of its work."""


async def hear(check: str, recordings: list[bytes], phrase: str) -> bool:
    """Whether the check of this name hears the phrase in one of the recordings. Cancelling it ends the process.

    Raises:
        CheckUnusable: it cannot check.
        CheckDied: its process ended in the middle, or gave no answer for LONGEST_SECONDS.
        RuntimeError: the check failed, by a defect of it.
    """
    ours, theirs = _spawn.Pipe()
    process = _spawn.Process(target=_main, args=(theirs, check), daemon=True)
    await asyncio.to_thread(process.start)
    theirs.close()
    try:
        answer = asyncio.to_thread(_ask, ours, recordings, phrase)
        kind, value = await asyncio.wait_for(answer, LONGEST_SECONDS)
    except (EOFError, OSError, TimeoutError):
        raise CheckDied("the check of consent gave no answer") from None
    finally:
        process.kill()
        with suppress(asyncio.CancelledError):
            await asyncio.shield(asyncio.to_thread(process.join))
    if kind == "unusable":
        raise consent_checks.CheckUnusable(value)
    if kind == "failed":
        raise RuntimeError(value)
    return bool(value)


def _ask(pipe: Connection, recordings: list[bytes], phrase: str) -> tuple[str, object]:
    with pipe:
        pipe.send((recordings, phrase))
        kind, value = pipe.recv()
        return kind, value


def _main(pipe: Connection, name: str) -> None:
    """What runs in the process: one question, one answer."""
    try:
        recordings, phrase = pipe.recv()
        check = consent_checks.load(name)
        missing = check.missing()
        pipe.send(("unusable", missing) if missing else ("heard", check.heard(recordings, phrase)))
    except consent_checks.CheckUnusable as error:
        pipe.send(("unusable", str(error)))
    except Exception:
        pipe.send(("failed", traceback.format_exc()))
