"""Text as people write it, cut into the pieces that are spoken one at a time. Loads no model."""

import re
import unicodedata
from collections.abc import Callable, Iterator

from .errors import TextEmpty, TextUnsupportedScript

ABBREVIATIONS = frozenset(
    {"mr", "mrs", "ms", "dr", "prof", "rev", "sr", "jr", "st", "mt", "gen", "gov", "sen", "capt", "col", "lt", "sgt"}
    | {"vs", "approx", "dept", "est", "fig", "no", "nos", "eg", "ie"}
)
"""Words whose full stop rarely ends a sentence, lower case, without their stops."""

PICTURES_WITH_WORDS = frozenset("°©®™¶→←")
"""Signs that Unicode files with the emoji, and that the G2P reads (or passes over) sensibly."""

_GREEK_MU_UNIT = re.compile(r"μ(?=[A-Za-z]\b)")
_BREAK = re.compile(r"""(?<=[.!?…])(["'”’)\]]*)\s+(?=["'“‘(\[]*[A-Z0-9À-ÞŠŽŁ])|\n\s*\n""")
_CLAUSE = re.compile(r"(?<=[,;:—–])\s+|(?<=—)")
_LAST_WORD = re.compile(r"([^\W\d_][^\s]*)\.$")
_SPACES = re.compile(r"[^\S\n]+")


def check_text(text: str) -> str:
    """The text as it will be spoken: composed (NFC), emoji and control characters dropped.

    Cheap: a request can be refused with it before any model is loaded. Latin letters, digits of any script
    and punctuation are kept; emoji and other pictures are dropped, since nobody agrees how they are read.
    Raises TextUnsupportedScript (naming the script) and TextEmpty.
    """
    # Keyboards give the Greek letter as often as the micro sign.
    kept = "".join(_kept(_GREEK_MU_UNIT.sub("\u00b5", text)))
    if not any(character.isalnum() for character in kept):
        raise TextEmpty()
    return kept.strip()


def sentences(text: str) -> Iterator[tuple[str, bool]]:
    """The sentences of a checked text in order, each with whether a paragraph ends after it.

    Cuts after . ! ? … when a capital or digit follows, but not after an abbreviation or an initial, and at
    blank lines; a single line break is a space.
    """
    start = 0
    for match in _BREAK.finditer(text):
        paragraph = "\n" in match.group() and not match.group().strip("\"'”’)]").strip()
        paragraph = paragraph and match.group().count("\n") > 1
        head = text[start : match.start()]
        if not paragraph and _abbreviated(head):
            continue
        sentence = _joined(head + (match.group(1) or ""))
        if sentence:
            yield sentence, paragraph
        start = match.end()
    sentence = _joined(text[start:])
    if sentence:
        yield sentence, True


def pieces(sentence: str, *, fits: Callable[[str], bool]) -> Iterator[str]:
    """The sentence whole if it fits the model; else its clauses, packed; else its words; else cut hard."""
    if fits(sentence):
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
    held = parts[0]
    for part in parts[1:]:
        longer = f"{held} {part}"
        if fits(longer):
            held = longer
        else:
            yield held
            held = part
    yield held


def _kept(text: str) -> Iterator[str]:
    for character in unicodedata.normalize("NFC", text):
        category = unicodedata.category(character)
        if character in "\n\t" or character.isspace():
            yield "\n" if character in "\n\u2028\u2029" else " "
        elif category == "Nd":
            yield str(unicodedata.digit(character))
        elif category[0] == "L":
            yield from _letters(character)
        elif category[0] in "PN" or category in ("Sc", "Sm") or character in PICTURES_WITH_WORDS or character in "^`":
            yield character
        elif category == "Mn" and not 0xFE00 <= ord(character) <= 0xFE0F:
            # A mark that NFC could not join to its letter; the G2P reads the bare letter.
            continue


def _letters(character: str) -> Iterator[str]:
    script = _script(character)
    if script in ("LATIN", "MICRO"):
        yield character
        return
    plain = unicodedata.normalize("NFKC", character)
    # Full-width, mathematical and ordinal letters are Latin in another dress.
    if plain != character and all(_script(letter) == "LATIN" for letter in plain if letter.isalpha()):
        yield plain
    elif unicodedata.category(character) != "Lm":
        name = script.capitalize()
        raise TextUnsupportedScript(
            f"the text has {name} letters ({character!r}), and this engine speaks English only",
            script=name,
            character=character,
        )


def _script(character: str) -> str:
    name = unicodedata.name(character, "UNKNOWN")
    if name.startswith(("CJK", "KANGXI")):
        return "HAN"
    return name.split()[0]


def _abbreviated(head: str) -> bool:
    match = _LAST_WORD.search(head)
    if match is None:
        return False
    word = match.group(1)
    return (len(word) == 1 and word.isupper() and word != "I") or word.lower().replace(".", "") in ABBREVIATIONS


def _joined(text: str) -> str:
    return _SPACES.sub(" ", text.replace("\n", " ")).strip()
