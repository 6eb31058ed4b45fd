"""What is to be said and how: plain text, or SSML, as passages that are spoken one after another."""

from __future__ import annotations

from dataclasses import dataclass

from . import text, writings
from .errors import TextEmpty
from .port import DEFAULT_LANGUAGE, Markup
from .seams import Pause
from .trace import Traced


@dataclass(frozen=True)
class Manner:
    """How a passage differs from how the voice speaks by itself."""

    rate: float = 1.0
    """Times as fast."""
    semitones: float = 0.0
    """Higher."""
    decibels: float = 0.0
    """Louder."""


@dataclass(frozen=True)
class Pronunciation:
    """How a stretch of the source must be said."""

    start: int
    """In characters of the source."""
    end: int
    phonemes: str
    """In the symbols of the model's vocabulary."""


@dataclass(frozen=True)
class Passage:
    """Text that is spoken in one manner, and the silence after it."""

    text: Traced
    """Checked; empty where there is only silence."""
    manner: Manner = Manner()
    fixed: tuple[Pronunciation, ...] = ()
    pause: Pause | float | None = None
    """Seconds, or of natural length; None where the text itself tells."""


@dataclass(frozen=True)
class Script:
    """All that is to be said."""

    source: str
    """As it was given; what offsets count in."""
    passages: tuple[Passage, ...]
    words: Traced
    """The source without its markup."""

    @property
    def spoken(self) -> str:
        """The text of all passages, to be counted."""
        return "".join(passage.text.text for passage in self.passages)


def read(source: str, markup: Markup = Markup.PLAIN, language: str = DEFAULT_LANGUAGE) -> Script:
    """The script of a text. Cheap: a request can be refused with it before any model is loaded.

    `language` is the tag of one of the engine's (`port.Language`).
    Raises TextEmpty, TextUnsupportedScript; of SSML, SsmlMalformed, SsmlUnsupported.
    """
    writing = writings.of(language)
    words = Traced.of(source)
    passages = [Passage(words)]
    if markup is Markup.SSML:
        from . import ssml

        passages, words = ssml.parse(source, language)
    cleaned = tuple(
        Passage(writing.cleaned(passage.text), passage.manner, passage.fixed, passage.pause) for passage in passages
    )
    if not any(text.sayable(passage.text.text) for passage in cleaned):
        raise TextEmpty()
    return Script(source, cleaned, words)
