"""Japanese text, cut into the pieces that are spoken one at a time. Loads no model."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final

from . import text as english
from .trace import Traced

SPACED: Final = False
"""Whether white space parts words."""
_DRESSED: Final = re.compile(
    "[\uff66-\uff9d][\uff9e\uff9f]?|[\uff61-\uff65]|[\u3200-\u32ff\u3300-\u33ff\u2e80-\u2fdf]|№|℡|℃|℉"
)
"""Half-width kana, whose marks stand beside them, words in a square, and radicals that look like characters."""
_SCRIPTS: Final = frozenset({"HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "IDEOGRAPHIC", "HAN"})
_CHARACTER_SETS: Final = ("cp932", "euc_jis_2004")
"""Together they have every Chinese character that is used in Japanese (JIS X 0213 and what its makers left out)."""
_ENDS: Final = frozenset("。．！？!?…")
_BRACKETS: Final = dict(zip("「『（(【〈《〔［", "」』）)】〉》〕］", strict=True))
_CLOSING: Final = frozenset(_BRACKETS.values()) | frozenset("”’\"'")
_CLAUSES: Final = frozenset("、，,；;：:—―")
_LONGEST_QUOTE: Final = 200
"""Sentences within brackets are spoken in one go with what is around them, unless the bracket is as long as this."""
_LONGEST: Final = 200
"""No piece is longer: about what the model says in one go, so that asking it about more is in vain."""
_SEAM: Final = re.compile(r"(?<=[!-~])\n(?=[!-~])")
"""A line break between Latin words parts them."""
_SHORT_SENTENCE, _SHORTEST_OPENING, _LONGEST_OPENING = 20, 6, 40


def cleaned(written: Traced) -> Traced:
    """The text as it will be spoken, which may be empty; as `text.cleaned`, and kana and kanji are kept too.

    Half-width kana become full ones, and words in a square (㎏, ㈱) letters. Raises TextUnsupportedScript.
    """
    plain = written.sub(_DRESSED, lambda match: unicodedata.normalize("NFKC", match.group()))
    return english.cleaned(plain, _letters)


def sentences(text: str) -> Iterator[tuple[str, bool]]:
    """The sentences of a checked text in order, each with whether a paragraph ends after it.

    Cuts after 。！？… and at blank lines; not within brackets and quotation marks, which may hold whole sentences, as
    long as they are closed and not very long; a single line break is nothing, since Japanese has no spaces.
    """
    for paragraph in (part for part in _paragraphs(text) if part):
        found = [sentence for part in _cut(paragraph) if (sentence := part.strip())]
        for index, sentence in enumerate(found):
            yield sentence, index == len(found) - 1


def ends_sentence(text: str) -> bool:
    """Whether a text ends where a sentence does."""
    bare = text.rstrip()
    while bare and bare[-1] in _CLOSING:
        bare = bare[:-1]
    return bare.endswith((*_ENDS, "."))


def opening(sentence: str) -> list[str]:
    """A long sentence as its first clause (6 to 40 characters) and the rest; one without such a clause whole."""
    if len(sentence) <= _SHORT_SENTENCE:
        return [sentence]
    for index, character in enumerate(sentence[:_LONGEST_OPENING]):
        if character in _CLAUSES and index >= _SHORTEST_OPENING and sentence[index + 1 :].strip():
            return [sentence[: index + 1], sentence[index + 1 :]]
    return [sentence]


def pieces(sentence: str, *, fits: Callable[[str], bool]) -> Iterator[str]:
    """The sentence whole if it fits the model; else halves of it, cut at the mark nearest to the middle, or hard."""
    if len(sentence) <= _LONGEST and fits(sentence):
        yield sentence
        return
    middle = len(sentence) // 2
    if not middle:
        return
    marks = [n + 1 for n, character in enumerate(sentence[:-1]) if character in _CLAUSES or character in _ENDS]
    at = min(marks, key=lambda mark: abs(mark - middle), default=middle)
    # Marks at the edges bring nothing, and a text of nothing else would be cut a character at a time.
    at = at if len(sentence) // 8 < at < len(sentence) - len(sentence) // 8 else middle
    for half in (sentence[:at], sentence[at:]):
        if half.strip():
            yield from pieces(half, fits=fits)


def _letters(character: str) -> Iterator[str]:
    script = english.script_of(character)
    if script not in _SCRIPTS:
        yield from english.latin(character)
        return
    plain = unicodedata.normalize("NFKC", character) if script == "HAN" else character
    if script == "HAN" and not any(_holds(name, plain) for name in _CHARACTER_SETS):
        raise english.unsupported(character, "this one is not used in Japanese")
    yield plain


def _holds(character_set: str, character: str) -> bool:
    try:
        character.encode(character_set)
    except UnicodeEncodeError:
        return False
    return True


def _paragraphs(text: str) -> Iterator[str]:
    lines: list[str] = []
    for line in [*text.split("\n"), ""]:
        if line.strip():
            lines.append(line.strip())
        else:
            yield _SEAM.sub(" ", "\n".join(lines)).replace("\n", "")
            lines.clear()


def _cut(text: str) -> Iterator[str]:
    start = position = 0
    while position < len(text):
        closed = _closed(text, position)
        ended = text[position] in _ENDS
        if closed is not None:
            # What somebody says, and then what somebody else does; or a quotation that the sentence goes on after.
            ended = text[closed - 2] in _ENDS and text[closed : closed + 1] in _BRACKETS
        position = closed or position + 1
        while ended and position < len(text) and text[position] in _ENDS | _CLOSING:
            position += 1
        if ended:
            yield text[start:position]
            start = position
    yield text[start:]


def _closed(text: str, position: int) -> int | None:
    """The place after the bracket that closes the one here; None if here is none, or it is closed late or never."""
    if text[position] not in _BRACKETS:
        return None
    waiting: list[str] = []
    for at in range(position, min(position + _LONGEST_QUOTE, len(text))):
        if text[at] in _BRACKETS:
            waiting.append(_BRACKETS[text[at]])
        elif text[at] == waiting[-1]:
            waiting.pop()
            if not waiting:
                return at + 1
    return None
