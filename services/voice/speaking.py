"""Speaking at once: audio leaves sentence by sentence, as it is made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from services.mesh import errors, names
from services.voice.engine.encoders import encoder
from services.voice.engine.errors import ArtefactMismatch, EngineError, EngineFailed, RecordingError, TextError
from services.voice.engine.port import DEFAULT_LANGUAGE, Chunk, Markup, Word
from services.voice.forms import AudioForm
from services.voice.host import EngineDied, EngineHost
from services.voice.speeches import Artefact
from services.voice.texts import counted, refused

LARGEST = 64 * 1024


@dataclass(frozen=True)
class Piece:
    """A piece of encoded audio."""

    content_type: str
    data: bytes
    words: tuple[Word, ...] = ()
    """Those that begin with this piece, in seconds from the start of the audio."""
    receipt: str = ""
    """The signed receipt of all the audio; with the last piece, which has no audio."""


class Ledger(Protocol):
    """Where usage is written down."""

    async def spoke(self, work: str, owner: str, voice: str, characters: int, audio_seconds: float) -> None:
        """Notes what a text spoken at once has come to so far, and the first time that the voice speaks."""


async def speak(
    owner: str,
    artefact: Artefact,
    text: str,
    form: AudioForm,
    *,
    engine: EngineHost,
    ledger: Ledger,
    markup: Markup = Markup.PLAIN,
    language: str = DEFAULT_LANGUAGE,
) -> AsyncGenerator[Piece, None]:
    """Encoded audio, in pieces of at most 64 KiB, each with the media type of the whole.

    A sentence is written to the ledger before it leaves, and the text's characters with the first, so that what
    was heard is what was counted.

    Raises:
        InvalidArgument: the text holds nothing that can be spoken after all (TEXT_EMPTY).
        FailedPrecondition: the voice was learned by another engine (VOICE_OUTDATED), or the engine does not speak at
            this tier (TIER_UNSUPPORTED).
        ResourceExhausted: too much is being spoken (ENGINE_BUSY).
        EngineFailed: the engine failed at it, by a defect of ours.
        Unavailable: the engine died or is starting (ENGINE_DIED, ENGINE_NOT_READY).
    """
    rate = engine.info.sample_rate
    chunks = engine.speak(artefact.content, text, form.speed, markup, form.tier, language)
    field = "ssml" if markup is Markup.SSML else "text"
    characters = counted(text, markup, language)
    pieces = encoded(owner, artefact.voice, chunks, characters, form, rate=rate, ledger=ledger, text_field=field)
    async with aclosing(pieces):
        async for piece in pieces:
            yield piece


async def encoded(
    owner: str,
    voice: str,
    chunks: AsyncGenerator[Chunk, None],
    characters: int,
    form: AudioForm,
    *,
    rate: int,
    ledger: Ledger,
    text_field: str,
) -> AsyncGenerator[Piece, None]:
    """What an engine says at `rate` Hz, encoded and written to the ledger piece by piece; raises as `speak`.

    `text_field` is the path of the text in the request.
    """
    work, seconds = names.new_id(), 0.0
    into = encoder(form.format, source_rate=rate, sample_rate=form.sample_rate)
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                data = await asyncio.to_thread(into.feed, chunk.samples)
                words = tuple(word.later(seconds) for word in chunk.words)
                seconds += chunk.samples.size / rate
                await ledger.spoke(work, owner, voice, characters, seconds)
                for piece in _pieces(data, into.content_type, words):
                    yield piece
    except ArtefactMismatch as error:
        raise errors.FailedPrecondition("VOICE_OUTDATED", str(error)) from error
    except TextError as error:
        raise refused(error, text_field) from error
    except RecordingError as error:
        raise errors.InvalidArgument.of(error.reason, "recording", str(error)) from error
    except EngineDied as error:
        raise errors.Unavailable("ENGINE_DIED", "the voice engine stopped; try again", retry_after=2) from error
    except EngineFailed:
        raise  # A defect of ours.
    except EngineError as error:
        raise errors.FailedPrecondition(error.reason, str(error)) from error
    for piece in _pieces(await asyncio.to_thread(into.finish), into.content_type):
        yield piece


def _pieces(data: bytes, content_type: str, words: tuple[Word, ...] = ()) -> list[Piece]:
    # An encoder may hold back all of a short stretch of audio; its words are told all the same.
    count = max(len(data), 1) if words else len(data)
    return [
        Piece(content_type, data[start : start + LARGEST], () if start else words) for start in range(0, count, LARGEST)
    ]
