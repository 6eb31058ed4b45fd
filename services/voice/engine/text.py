"""English text as people write it, cut into the pieces that are spoken one at a time. Loads no model."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from .errors import TextEmpty, TextUnsupportedScript
from .trace import Traced

Letters: TypeAlias = Callable[[str], Iterator[str]]
"""What is kept of a letter; raises TextUnsupportedScript where it is of none that are read."""

SPACED: Final = True
"""Whether white space parts words."""

ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "rev", "sr", "jr", "st", "mt", "gen", "gov", "sen", "capt", "col", "lt", "sgt"}
    | {"vs", "approx", "dept", "est", "fig", "no", "nos", "eg", "ie"}
)
"""Words whose full stop rarely ends a sentence, lower case, without their stops."""

PICTURES_WITH_WORDS = frozenset("°©®™¶→←")
"""Signs that Unicode files with the emoji, and that the G2P reads (or passes over) sensibly."""

MOST_CHARACTERS = 600
"""No piece is longer: far beyond what any model says in one go, so that asking it about more is in vain."""

MOST_OF_A_WORD = 150
"""No piece without a space is longer: the G2P takes quadratic time for what it holds to be one word."""

MOST_MARKS = 30
"""Combining marks in a row that are looked at, as in the Stream-Safe Text Format (UAX #15)."""

_GREEK_MU_UNIT = re.compile(r"μ(?=[A-Za-z]\b)")
_LONG_NUMBER = re.compile(r"\d(?:[.,]?\d){18,}")
_SAME_SIGNS = re.compile(r"([^\w\s])\1{3,}")
_BREAK = re.compile(r"""(?<=[.!?…])(["'”’)\]]*)\s+(?=["'“‘(\[]*[A-Z0-9À-ÞŠŽŁ])|\n\s*\n""")
_CLAUSE = re.compile(r"(?<=[,;:—–])\s+|(?<=—)")
_FIRST_LETTER = re.compile(r"[^\W\d_]")
_PLAIN = re.compile(r"[ -~]{2,}(?![^\x00-\x7f])")
_SPACES = re.compile(r"[^\S\n]+")
_LONGEST_ABBREVIATION = 40
_SHORT_SENTENCE, _SHORTEST_OPENING, _LONGEST_OPENING = 8, 3, 12


def check_text(text: str) -> str:
    """The text as it will be spoken: composed (NFC), emoji and control characters dropped.

    Cheap: a request can be refused with it before any model is loaded. Latin letters, digits of any script
    and punctuation are kept; emoji and other pictures are dropped, since nobody agrees how they are read.
    Numbers beyond the quintillions are spelt out digit by digit; of one sign many times over, three are kept.
    Raises TextUnsupportedScript (naming the script) and TextEmpty.
    """
    return checked(Traced.of(text)).text


def checked(written: Traced) -> Traced:
    """As `check_text`, and every character that is kept knows its place in the source."""
    found = cleaned(written)
    if not sayable(found.text):
        raise TextEmpty()
    return found


def ends_sentence(text: str) -> bool:
    """Whether a text ends where a sentence does."""
    return text.rstrip().rstrip("\"'”’)]").endswith((".", "!", "?", "…"))


def sayable(text: str) -> bool:
    """Whether there is anything to say in a text."""
    return any(character.isalnum() for character in text)


def latin(character: str) -> Iterator[str]:
    """A Latin letter, in whatever dress. Raises TextUnsupportedScript."""
    script = script_of(character)
    if script in ("LATIN", "MICRO"):
        yield character
        return
    plain = unicodedata.normalize("NFKC", character)
    # Full-width, mathematical and ordinal letters are Latin in another dress.
    if plain != character and all(script_of(letter) == "LATIN" for letter in plain if letter.isalpha()):
        yield plain
    elif unicodedata.category(character) != "Lm":
        raise unsupported(character, "English is read in Latin ones only")


def cleaned(written: Traced, letters: Letters = latin) -> Traced:
    """As `checked`, of `letters`, and may be empty. Raises TextUnsupportedScript."""
    # Keyboards give the Greek letter as often as the micro sign.
    text = _GREEK_MU_UNIT.sub("\u00b5", written.text)
    parts = []
    for start, end in _composed(text):
        if _PLAIN.fullmatch(text, start, end):
            parts.append(written.part(start, end))
        else:
            parts.append(Traced.standing_for("".join(_kept(text[start:end], letters)), *written.span(start, end)))
    kept = Traced.joined(parts)
    # The G2P has no words for larger numbers, and takes quadratic time for signs without end.
    spelt = kept.sub(_LONG_NUMBER, lambda number: " ".join(number.group()))
    few = spelt.sub(_SAME_SIGNS, lambda signs: signs.group(1) * 3)
    return few.part(len(few.text) - len(few.text.lstrip()), len(few.text.rstrip()))


def script_of(character: str) -> str:
    """The script of a letter, as Unicode names it, in capitals."""
    name = unicodedata.name(character, "UNKNOWN")
    if name.startswith(("CJK", "KANGXI")):
        return "HAN"
    return name.split()[0]


def unsupported(character: str, why: str) -> TextUnsupportedScript:
    """The refusal of a letter."""
    name = script_of(character).capitalize()
    return TextUnsupportedScript(
        f"the text has {name} letters ({character!r}), and {why}", script=name, character=character
    )


def sentences(text: str) -> Iterator[tuple[str, bool]]:
    """The sentences of a checked text in order, each with whether a paragraph ends after it.

    Cuts after . ! ? … when a capital or digit follows, but not after an abbreviation or an initial, and at
    blank lines; a single line break is a space. Takes time in proportion to the text, whatever it is.
    """
    start = 0
    for match in _BREAK.finditer(text):
        paragraph = "\n" in match.group() and not match.group().strip("\"'”’)]").strip()
        paragraph = paragraph and match.group().count("\n") > 1
        # Only the tail: where nothing is cut for long, looking at the whole head each time would be quadratic.
        if not paragraph and _abbreviated(text[max(start, match.start() - _LONGEST_ABBREVIATION) : match.start()]):
            continue
        sentence = _joined(text[start : match.start()] + (match.group(1) or ""))
        if sentence:
            yield sentence, paragraph
        start = match.end()
    sentence = _joined(text[start:])
    if sentence:
        yield sentence, True


def opening(sentence: str) -> list[str]:
    """A long sentence as its first clause and the rest; one that is short, or has no clause to cut at, whole.

    The first clause has three words at least and twelve at most, the sentence more than eight.
    """
    if len(sentence.split()) <= _SHORT_SENTENCE:
        return [sentence]
    for cut in _CLAUSE.finditer(sentence):
        words = len(sentence[: cut.start()].split())
        if words > _LONGEST_OPENING:
            break
        if words >= _SHORTEST_OPENING and sentence[cut.end() :].strip():
            return [sentence[: cut.start()], sentence[cut.end() :]]
    return [sentence]


def pieces(sentence: str, *, fits: Callable[[str], bool]) -> Iterator[str]:
    """The sentence whole if it fits the model; else its clauses, packed; else its words; else cut hard.

    `fits` is asked about few texts and only about short ones, since its answer may cost as much as reading them.
    """
    if _fit(sentence, fits):
        yield sentence
        return
    for cut in (_CLAUSE.split(sentence), sentence.split()):
        parts = [part for part in cut if part and part.strip()]
        if len(parts) > 1:
            for packed in _packed(parts, fits):
                yield from pieces(packed, fits=fits)
            return
    middle = len(sentence) // 2
    if middle:
        yield from pieces(sentence[:middle], fits=fits)
        yield from pieces(sentence[middle:], fits=fits)


def _packed(parts: list[str], fits: Callable[[str], bool]) -> Iterator[str]:
    """The parts, as many together as fit, at least one."""
    start, most = 0, 1
    while start < len(parts):
        most = _most(parts, start, most, fits)
        yield " ".join(parts[start : start + most])
        start += most


def _most(parts: list[str], start: int, guess: int, fits: Callable[[str], bool]) -> int:
    """How many parts fit together; looked for from a guess on, in growing steps, and then by halving."""
    most, beyond, step = 1, len(parts) - start + 1, 1
    count, some_fit, some_do_not = guess, False, False
    while beyond - most > 1:
        count = min(max(count, most + 1), beyond - 1)
        if _fit(" ".join(parts[start : start + count]), fits):
            most, some_fit = count, True
        else:
            beyond, some_do_not = count, True
        if not some_do_not:
            count = most + step
        elif not some_fit:
            count = beyond - step
        else:
            count = (most + beyond) // 2
        step *= 2
    return most


def _fit(text: str, fits: Callable[[str], bool]) -> bool:
    return len(text) <= (MOST_CHARACTERS if " " in text else MOST_OF_A_WORD) and fits(text)


def _composed(text: str) -> Iterator[tuple[int, int]]:
    """Stretches that can be looked at on their own: plain ASCII, or a character with its combining marks."""
    start = 0
    while start < len(text):
        plain = _PLAIN.match(text, start)
        if plain:
            yield plain.span()
            start = plain.end()
            continue
        end = start + 1
        while end < len(text) and unicodedata.combining(text[end]):
            end += 1
        yield start, end
        start = end


def _kept(text: str, letters: Letters) -> Iterator[str]:
    # Marks beyond the most take normalisation quadratic time to sort.
    for character in unicodedata.normalize("NFC", text[: MOST_MARKS + 1]):
        category = unicodedata.category(character)
        if character in "\n\t" or character.isspace():
            yield "\n" if character in "\n\u2028\u2029" else " "
        elif category == "Nd":
            yield str(unicodedata.digit(character))
        elif category == "No":
            yield _number(character)
        elif category[0] == "L":
            yield from letters(character)
        elif category[0] in "PN" or category in ("Sc", "Sm") or character in PICTURES_WITH_WORDS or character in "^`":
            yield character
        elif category == "Mn" and not 0xFE00 <= ord(character) <= 0xFE0F:
            # A mark that NFC could not join to its letter; the G2P reads the bare letter.
            continue


def _number(character: str) -> str:
    """Raised, circled and such digits as plain ones; fractions as they are."""
    plain = unicodedata.normalize("NFKC", character)
    return plain if plain.isdecimal() else str(unicodedata.digit(character, character))


def _abbreviated(tail: str) -> bool:
    """Whether the full stop at the end of the tail belongs to an abbreviation or an initial."""
    words = tail.split()
    if not tail.endswith(".") or len(words[-1]) >= _LONGEST_ABBREVIATION:
        return False
    letter = _FIRST_LETTER.search(words[-1])
    word = words[-1][letter.start() : -1] if letter else ""
    return (len(word) == 1 and word.isupper() and word != "I") or word.lower().replace(".", "") in ABBREVIATIONS


def _joined(text: str) -> str:
    return _SPACES.sub(" ", text.replace("\n", " ")).strip()
