"""Converting at once: what somebody says in a recording, said in a voice."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final, Protocol

from services.mesh import errors
from services.voice import speaking
from services.voice.engine import languages
from services.voice.forms import AudioForm
from services.voice.host import EngineHost
from services.voice.speaking import Ledger, Piece
from services.voice.speeches import Artefact
from services.voice.storage_client import FileGone
from services.voice.voices import Found

LANGUAGES: Final = languages.ENGLISH
"""Of recordings, whatever else the engine speaks: their sounds are found by the English reader."""


class Recordings(Protocol):
    """Where recordings are kept."""

    async def look(self, names: Sequence[str]) -> Found:
        """What there is of these recordings."""

    async def read(self, name: str) -> bytes:
        """The bytes of a recording. Raises FileGone."""


async def convert(
    owner: str,
    artefact: Artefact,
    recording: str,
    transcript: str,
    form: AudioForm,
    *,
    recordings: Recordings,
    largest: int,
    longest_seconds: float,
    engine: EngineHost,
    ledger: Ledger,
) -> AsyncGenerator[Piece, None]:
    """Encoded audio, in pieces of at most 64 KiB; the recording, `files/{file}`, may have `largest` bytes.

    The ledger counts seconds of audio, and no characters.

    Raises as `speaking.speak`, and
        NotFound: there is no such recording (RECORDING_NOT_FOUND).
        InvalidArgument: it is too large (RECORDINGS_TOO_LARGE) or cannot be used (NOT_AUDIO, TRUNCATED, TOO_LONG,
            SILENT, TRANSCRIPT_UNCLEAR).
        FailedPrecondition: nobody here can write down what is said (RECOGNISER_MISSING).
        Unavailable: storage does not answer (STORAGE_UNAVAILABLE).
    """
    rate = engine.info.sample_rate
    content = await _read(recording, recordings, largest)
    chunks = engine.convert(artefact.content, content, transcript, longest_seconds)
    voice = artefact.voice
    pieces = speaking.encoded(owner, voice, chunks, 0, form, rate=rate, ledger=ledger, text_field="transcript")
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


async def _read(recording: str, recordings: Recordings, largest: int) -> bytes:
    found = await recordings.look([recording])
    if found.missing is not None:
        raise _gone(recording)
    if found.size > largest:
        raise errors.InvalidArgument.of(
            "RECORDINGS_TOO_LARGE", "recording", f"may have {largest} bytes, not {found.size}"
        )
    try:
        return await recordings.read(recording)
    except FileGone:
        raise _gone(recording) from None


def _gone(recording: str) -> errors.NotFound:
    return errors.NotFound("RECORDING_NOT_FOUND", f"there is no recording {recording}", name=recording)
