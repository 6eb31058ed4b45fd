"""English text to the phoneme tokens of Kokoro."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hibari.g2p import G2P, normalize  # type: ignore[import-untyped]

from . import readings
from . import text as english
from .errors import TextUnreadable
from .script import Pronunciation
from .trace import Traced
from .writings import Writing

MOST_TOKENS: Final = 400
"""The model takes 510, but pieces beyond about 25 s hurry, and all of a piece is made before any is heard."""


_LONG_NUMBER: Final = re.compile(r"\d{16,}")
"""Beyond trillions people read digit by digit, and the reader has no words."""
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")


@dataclass(frozen=True)
class Sound:
    """Tokens that belong together, and the stretch of the source that they say."""

    first: int
    """Among the tokens of the utterance."""
    last: int
    """The token after the last."""
    start: int
    """In characters of the source."""
    end: int


@dataclass(frozen=True)
class Utterance:
    """What the model is given to say in one go."""

    tokens: list[int]
    sounds: tuple[Sound, ...]
    """Everything audible, in order; punctuation and spaces are not."""


class Phonemes:
    """Reads text aloud on paper. Loads its dictionaries once (0.3 s, 60 MB); safe to use from several threads."""

    writing: Writing = english

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary
        self._g2p = G2P()

    def tokens(self, text: str) -> list[int]:
        """The tokens of one sentence, numbers and abbreviations read out; empty when nothing is sayable.

        Raises TextUnreadable where the reader fails.
        """
        return self.read(Traced.of(text)).tokens

    def read(self, text: Traced, fixed: Sequence[Pronunciation] = ()) -> Utterance:
        """As `tokens`, and which tokens say which stretch of the source. Raises TextUnreadable."""
        plain = readings.spoken(text).sub(_NOT_ASCII, lambda match: unicodedata.normalize("NFKC", match.group()))
        plain = plain.sub(_LONG_NUMBER, lambda digits: " ".join(digits.group()))
        try:
            normal = plain.rewritten(normalize(plain.text))
            pieces = self._g2p.tokenize(normal.text)
            _fix(list(_placed(pieces, normal)), fixed)
            found = list(_placed(self._g2p.phonemize_tokens(pieces), normal))
        except Exception as error:  # Whatever a dictionary trips over, the text is what its writer can change.
            raise TextUnreadable(f"nobody here can read {text.text[:40]!r}") from error
        return self._utterance(found)

    def fits(self, text: str) -> bool:
        """Whether the model can speak the text in one go."""
        return len(self.tokens(text)) <= MOST_TOKENS

    def _utterance(self, found: Sequence[tuple[Any, int, int]]) -> Utterance:
        tokens: list[int] = []
        sounds: list[Sound] = []
        space = self._vocabulary.get(" ")
        for piece, start, end in found:
            phonemes, first = piece.phonemes or "", len(tokens)
            tokens += [self._vocabulary[sound] for sound in phonemes if sound in self._vocabulary]
            if any(sound.isalpha() for sound in phonemes) and len(tokens) > first:
                sounds.append(Sound(first, len(tokens), start, end))
            if space is not None and piece.whitespace and tokens:
                tokens.append(space)
        while tokens and tokens[-1] == space:
            tokens.pop()
        return Utterance(tokens, tuple(sounds))


def _placed(pieces: Sequence[Any], text: Traced) -> Iterator[tuple[Any, int, int]]:
    """The pieces of the text, each with the stretch of the source that it stands for."""
    position = 0
    for piece in pieces:
        written = piece.text
        at = text.text.find(written, position)
        if at < 0:
            at, written = position, text.text[position : position + len(written)]
        position = at + len(written)
        if written:
            yield piece, *text.span(at, position)


def _fix(pieces: Sequence[tuple[Any, int, int]], fixed: Sequence[Pronunciation]) -> None:
    for each in fixed:
        within = [piece for piece, start, end in pieces if start >= each.start and end <= each.end]
        for index, piece in enumerate(within):
            piece.phonemes = "" if index else each.phonemes
            piece.rating = 5
