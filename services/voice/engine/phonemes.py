"""English text to the phoneme tokens of Kokoro."""

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from hibari.g2p import G2P  # type: ignore[import-untyped]

from .errors import TextUnreadable

MOST_TOKENS: Final = 400
"""The model takes 510, but pieces beyond about 25 s hurry, and all of a piece is made before any is heard."""


_LONG_NUMBER: Final = re.compile(r"\d{16,}")
"""Beyond trillions people read digit by digit, and the reader has no words."""


class Phonemes:
    """Reads text aloud on paper. Loads its dictionaries once (0.3 s, 60 MB); safe to use from several threads."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary
        self._g2p = G2P()

    def tokens(self, text: str) -> list[int]:
        """The tokens of one sentence, numbers and abbreviations read out; empty when nothing is sayable.

        Raises TextUnreadable where the reader fails.
        """
        plain = _LONG_NUMBER.sub(lambda digits: " ".join(digits.group()), unicodedata.normalize("NFKC", text))
        try:
            sounds = self._g2p(plain)
        except Exception as error:  # Whatever a dictionary trips over, the text is what its writer can change.
            raise TextUnreadable(f"nobody here can read {text[:40]!r}") from error
        return [self._vocabulary[sound] for sound in sounds if sound in self._vocabulary]

    def fits(self, text: str) -> bool:
        """Whether the model can speak the text in one go."""
        return len(self.tokens(text)) <= MOST_TOKENS
