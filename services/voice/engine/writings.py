"""How texts are written in each language: which characters are read, and where a text is cut. Loads no model."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from . import japanese_text, text
from .port import DEFAULT_LANGUAGE, JAPANESE
from .trace import Traced


class Writing(Protocol):
    """What the modules of this kind have: `text`, `japanese_text`."""

    @property
    def SPACED(self) -> bool:
        """Whether white space parts words."""

    def cleaned(self, written: Traced) -> Traced:
        """The text as it will be spoken, which may be empty. Raises TextUnsupportedScript."""

    def sentences(self, text: str) -> Iterator[tuple[str, bool]]:
        """The sentences of a cleaned text in order, each with whether a paragraph ends after it."""

    def ends_sentence(self, text: str) -> bool:
        """Whether a text ends where a sentence does."""

    def opening(self, sentence: str) -> list[str]:
        """A long sentence as its first clause and the rest; one without such a clause whole."""

    def pieces(self, sentence: str, *, fits: Callable[[str], bool]) -> Iterator[str]:
        """The sentence as the fewest parts that fit the model."""


ALL: Final[Mapping[str, Writing]] = MappingProxyType({DEFAULT_LANGUAGE: text, JAPANESE: japanese_text})


def of(language: str) -> Writing:
    """The writing of a language by its tag; of one that is not known here, that of English, in Latin letters."""
    return ALL.get(language, text)
