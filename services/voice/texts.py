"""What may be spoken, and how much it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from services.mesh import errors
from services.voice.engine import languages, script
from services.voice.engine.errors import TextError
from services.voice.engine.port import Language, Markup


async def check(text: str, *, field: str, markup: Markup = Markup.PLAIN, language: str = languages.DEFAULT.tag) -> None:
    """Lets a text pass that the engine can speak, in a language by its tag.

    Raises:
        InvalidArgument: it holds nothing to speak, or a script that cannot be spoken here (TEXT_EMPTY,
            TEXT_UNSUPPORTED_SCRIPT), or is not of the subset of SSML (SSML_MALFORMED, SSML_UNSUPPORTED).
    """
    try:
        # A long text takes tens of milliseconds, in which nothing else would be answered.
        await asyncio.to_thread(script.read, text, markup, language)
    except TextError as error:
        raise refused(error, field) from None


def language(tag: str, known: Callable[[], Sequence[Language]]) -> Language:
    """The language that a request asks for; `known`, those of the engine, is asked only where it names one.

    Raises:
        InvalidArgument: the engine does not speak it (LANGUAGE_UNSUPPORTED).
        Unavailable: the engine is starting (ENGINE_NOT_READY).
    """
    if not tag:
        return languages.DEFAULT
    try:
        return languages.chosen(tag, known())
    except TextError as error:
        raise refused(error, "language_code") from None


def refused(error: TextError, field: str) -> errors.InvalidArgument:
    """What the engine says of a text, said of a field of a request."""
    refusal = errors.InvalidArgument.of(error.reason, field, str(error))
    refusal.metadata.update(error.details)
    return refusal


def counted(text: str, markup: Markup, language: str) -> int:
    """How many characters of usage a text comes to: all, of SSML those that are not markup."""
    return len(script.read(text, markup, language).words.text)
