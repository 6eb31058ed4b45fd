"""Text that knows where in its source each of its characters came from, however often it is rewritten."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain

_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Traced:
    """A text, and for each of its characters the stretch of the source that it stands for."""

    text: str
    starts: Sequence[int]
    """(len(text),), in characters of the source."""
    ends: Sequence[int]
    """(len(text),), each the character after the last."""

    @classmethod
    def of(cls, text: str) -> Traced:
        """A source itself."""
        return cls(text, range(len(text)), range(1, len(text) + 1))

    @classmethod
    def standing_for(cls, text: str, start: int, end: int) -> Traced:
        """A text that as a whole stands for a stretch of the source."""
        return cls(text, [start] * len(text), [end] * len(text))

    @classmethod
    def joined(cls, parts: Sequence[Traced]) -> Traced:
        """The parts in a row."""
        return cls(
            "".join(part.text for part in parts),
            [*chain.from_iterable(part.starts for part in parts)],
            [*chain.from_iterable(part.ends for part in parts)],
        )

    def part(self, start: int, end: int) -> Traced:
        """The characters from start to end."""
        return Traced(self.text[start:end], self.starts[start:end], self.ends[start:end])

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The stretch of the source that the characters from start to end (at least one) stand for."""
        return min(self.starts[start:end]), max(self.ends[start:end])

    def sub(self, pattern: re.Pattern[str], replacement: Callable[[re.Match[str]], str]) -> Traced:
        """With every match replaced; a replacement stands for all that its match stood for."""
        parts, position = [], 0
        for match in pattern.finditer(self.text):
            new = replacement(match)
            if new == match.group() or match.end() == match.start():
                continue
            parts += [
                self.part(position, match.start()),
                Traced.standing_for(new, *self.span(match.start(), match.end())),
            ]
            position = match.end()
        return Traced.joined([*parts, self.part(position, len(self.text))]) if parts else self

    def rewritten(self, text: str) -> Traced:
        """What somebody else made of this text, followed word by word (Ratcliff and Obershelp 1988).

        Words that stayed keep their places; a run of words that became another run stands for it as a whole, or
        word for word where both are equally long; what was added belongs to the word before it.
        """
        if text == self.text:
            return self
        old, new = list(_WORD.finditer(self.text)), list(_WORD.finditer(text))
        if not old or not new:
            return Traced.standing_for(text, *(self.span(0, len(self.text)) if self.text else (0, 0)))
        starts, ends = [-1] * len(text), [-1] * len(text)
        matcher = SequenceMatcher(None, [word.group() for word in old], [word.group() for word in new], autojunk=False)
        for kind, i, i_end, j, j_end in matcher.get_opcodes():
            for at in range(j, j_end):
                a, b = new[at].span()
                if kind == "equal":
                    c, d = old[i + at - j].span()
                    starts[a:b], ends[a:b] = self.starts[c:d], self.ends[c:d]
                    continue
                if kind == "insert":
                    first = last = old[max(i - 1, 0)]
                elif i_end - i == j_end - j:
                    first = last = old[i + at - j]
                else:
                    first, last = old[i], old[i_end - 1]
                start, end = self.span(first.start(), last.end())
                starts[a:b], ends[a:b] = [start] * (b - a), [end] * (b - a)
        return Traced(text, *_filled(starts, ends))


class Cursor:
    """Finds pieces of a text in it again, one after another; of the pieces only the white space may differ."""

    def __init__(self, whole: Traced) -> None:
        self._whole = whole
        self._dense = [index for index, character in enumerate(whole.text) if not character.isspace()]
        self._next = 0

    def take(self, piece: str) -> Traced:
        """The next piece (at least one character that is not white space), as it stands in the whole."""
        first = self._next
        self._next += sum(1 for character in piece if not character.isspace())
        return self._whole.part(self._dense[first], self._dense[self._next - 1] + 1)


def _filled(starts: list[int], ends: list[int]) -> tuple[list[int], list[int]]:
    """White space stands for the end of what comes before it."""
    place = 0
    for index, start in enumerate(starts):
        if start < 0:
            starts[index] = ends[index] = place
        place = ends[index]
    return starts, ends
