"""What reads a text aloud on paper: one reader for each language of an engine whose model speaks phonemes."""

from collections.abc import Sequence
from typing import Protocol

from .phonemes import Utterance
from .script import Pronunciation
from .trace import Traced
from .writings import Writing


class Reader(Protocol):
    """Safe to use from several threads."""

    @property
    def writing(self) -> Writing:
        """How its language is written."""

    def read(self, text: Traced, fixed: Sequence[Pronunciation] = ()) -> Utterance:
        """The tokens of one sentence, and which of them say which stretch of the source. Raises TextUnreadable."""

    def fits(self, text: str) -> bool:
        """Whether the model can speak the text in one go."""
