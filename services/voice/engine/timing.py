"""When each word is heard: from the durations that the model itself gives every phoneme."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from .phonemes import Utterance
from .port import Word
from .trace import Traced

FRAME_SECONDS: Final = 0.025
_WORD: Final = re.compile(r"\S+")
_BEFORE: Final = "\"'“”‘’([{<«¿¡*_—–-"
_AFTER: Final = "\"'“”‘’)]}>».,;:!?…*_—–-"


class Source:
    """The text that was given, and where its words are."""

    def __init__(self, text: Traced, *, spaced: bool = True) -> None:
        """A word is what white space parts, without quotes, brackets and punctuation around it.

        Where a language is not `spaced`, a word is what its reader takes for one.
        """
        self._words: list[tuple[int, int]] = []
        for match in _WORD.finditer(text.text) if spaced else ():
            inner = match.group().lstrip(_BEFORE)
            start = match.end() - len(inner)
            end = start + len(inner.rstrip(_AFTER))
            if end > start:
                self._words.append(text.span(start, end))
        self._starts = [start for start, _ in self._words]

    def stretch(self, start: int, end: int) -> tuple[int, int]:
        """The words that a stretch touches, from the first's start to the last's end; itself if it touches none."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        if first < 0 or self._words[first][1] <= start:
            first += 1
        last = int(np.searchsorted(self._starts, end, side="left"))
        return (self._words[first][0], self._words[last - 1][1]) if last > first else (start, end)


def words(utterance: Utterance, durations: npt.NDArray[Any], source: Source) -> tuple[Word, ...]:
    """The words of an utterance, from its first sample on.

    `durations` are (tokens + 2,) frames of 25 ms, with the padding before and after the tokens. Words that are
    read as one ("5 p.m.") come as one; a word that is read as several comes as one too.
    """
    at = np.cumsum(durations) * FRAME_SECONDS
    found: list[Word] = []
    for sound in utterance.sounds:
        start, end = source.stretch(sound.start, sound.end)
        heard = Word(start, end, float(at[sound.first]), float(at[sound.last]))
        # What is read out in another order ("4 July": the fourth of July) keeps the order of speech.
        if found and start < found[-1].end and end > found[-1].start:
            before = found.pop()
            heard = Word(min(before.start, start), max(before.end, end), before.start_seconds, heard.end_seconds)
        found.append(heard)
    return tuple(found)


def moved(found: Sequence[Word], by: float, *, length: float) -> tuple[Word, ...]:
    """The words `by` seconds later, kept within 0 and `length` seconds."""
    return tuple(
        replace(
            word,
            start_seconds=min(max(word.start_seconds + by, 0.0), length),
            end_seconds=min(max(word.end_seconds + by, 0.0), length),
        )
        for word in found
    )
