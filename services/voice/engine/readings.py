"""How what is written is read out, where the G2P's own rules do not know: web and mail addresses, telephone numbers,
formulas, and some units and abbreviations. All else (numbers, dates, times, money, titles, Roman numerals,
acronyms) the G2P reads by itself.
"""

import re
from collections.abc import Callable
from typing import Final

from .trace import Traced

Rule = tuple[re.Pattern[str], Callable[[re.Match[str]], str]]

UNITS: Final = {
    "g": "gram",
    "t": "tonne",
    "m": "meter",
    "l": "liter",
    "L": "liter",
    "dl": "deciliter",
    "h": "hour",
    "V": "volt",
    "kV": "kilovolt",
    "W": "watt",
    "dB": "decibel",
    "Pa": "pascal",
    "kPa": "kilopascal",
    "kcal": "kilocalorie",
    "cal": "calorie",
    "ha": "hectare",
    "rpm": "revolution per minute",
    "m/s": "meter per second",
}
"""Those that the G2P does not know, in the singular."""
LENGTHS: Final = {
    "km": "kilometer",
    "m": "meter",
    "cm": "centimeter",
    "mm": "millimeter",
    "mi": "mile",
    "ft": "foot",
    "in": "inch",
    "yd": "yard",
}
WORDS: Final = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "w.r.t.": "with respect to",
    "a.k.a.": "also known as",
    "p.": "page",
    "op.": "opus",
    "Op.": "opus",
    "incl.": "including",
    "excl.": "excluding",
    "max.": "maximum",
    "min.": "minimum",
    "24/7": "twenty-four seven",
}
_IRREGULAR: Final = {"foot": "feet", "inch": "inches"}
_POWERS: Final = {"2": "square", "3": "cubic", "²": "square", "³": "cubic"}
_LARGE: Final = {"bn": "billion", "tn": "trillion", "mn": "million", "mln": "million"}
_SIGNS: Final = {
    ".": " dot ",
    "@": " at ",
    "-": " dash ",
    "_": " underscore ",
    "+": " plus ",
    "/": " slash ",
    "?": " question mark ",
    "=": " equals ",
    "&": " and ",
    "#": " hash ",
    "%": " percent ",
    "~": " tilde ",
    ":": " colon ",
}
_NUMBER: Final = r"(?<![\w.,$£€¥])(\d+(?:,\d{3})*(?:\.\d+)?)"
_APART: Final = r"\s<>\"'“”()\[\]"
_PATH: Final = r"(?:/[\w./%-]{0,200}[\w/]|/)?"
_TOP_LEVEL: Final = (
    r"(?:com|org|net|edu|gov|mil|int|info|biz|dev|app|io|ai|co|me|tv|uk|de|fr|eu|us|ca|au|ch|at|nl|be|it|es|jp|in)"
)


def spoken(text: Traced) -> Traced:
    """The text with everything of this kind in words."""
    for pattern, read in _RULES:
        text = text.sub(pattern, read)
    return text


def spelt(characters: str) -> str:
    """Characters one by one, as for a code: letters as such, digits as digits, signs by their names."""
    said = (_SIGNS.get(character, character).strip() for character in characters if not character.isspace())
    # A bare A is the article.
    return " ".join("A." if one in ("a", "A") else one.upper() if len(one) == 1 else one for one in said)


def digits(number: str) -> str:
    """A telephone number: its digits one by one, its groups apart."""
    groups = [" ".join(group) for group in re.findall(r"\d+", number)]
    return ("plus " if number.lstrip().startswith("+") else "") + ", ".join(groups)


def _address(match: re.Match[str]) -> str:
    written = re.sub(r"^(?:https?|ftp)://", "", match.group(), flags=re.IGNORECASE).rstrip("/")
    words = re.findall(r"[^\W\d_]+|\d+|[^\w\s]|_", written)
    return " ".join(_of_address(word) for word in words if word.strip())


def _of_address(word: str) -> str:
    if word in _SIGNS:
        return _SIGNS[word].strip()
    if word.lower() in ("www", "html", "php", "uk", "io", "tv", "eu", "us", "de", "fr", "ai"):
        return spelt(word)
    return word


def _counted(match: re.Match[str]) -> str:
    number, unit = match.group(1), UNITS[match.group(2)]
    head, _, rest = unit.partition(" ")
    return f"{number} {_plural(number, head)}{' ' if rest else ''}{rest}"


def _area(match: re.Match[str]) -> str:
    number, unit, power = match.groups()
    return f"{number} {_POWERS[power]} {_plural(number, LENGTHS[unit])}"


def _plural(number: str, unit: str) -> str:
    return unit if number == "1" else _IRREGULAR.get(unit, unit + "s")


def _dotted(match: re.Match[str]) -> str:
    parts = match.group().split(".")
    return (" dot " if len(parts) == 4 else " point ").join(parts)


def _feet(match: re.Match[str]) -> str:
    feet, inches = match.groups()
    return f"{feet} {_plural(feet, 'foot')} {inches}"


def _decimal(match: re.Match[str]) -> str:
    whole, fraction = match.groups()
    return f"{whole} point {' '.join(fraction)}"


def _half_of_the_day(match: re.Match[str]) -> str:
    return f"{match.group(1)} {match.group(2).upper()}.M."


def _words(pattern: str, read: Callable[[re.Match[str]], str], flags: int = 0) -> Rule:
    return re.compile(pattern, flags), read


def _alternatives(words: dict[str, str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


_RULES: Final[tuple[Rule, ...]] = (
    # A link is read by its label, and nothing that a text holds may set the G2P's phonemes.
    _words(r"\[([^\[\]\n]{1,200})\]\([^()\s]{0,2000}\)", lambda match: match.group(1)),
    _words(r"\](?=\()", lambda match: "] "),
    _words(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w@])", _address),
    _words(rf"(?<![\w@])(?:https?|ftp)://[^{_APART}]{{1,400}}?(?=[.,;:!?]*(?:[{_APART}]|$))", _address, re.I),
    _words(rf"(?<![\w@.-])www\.(?:[\w-]{{1,63}}\.){{1,8}}[a-z]{{2,24}}{_PATH}(?![\w@])", _address, re.I),
    _words(rf"(?<![\w@.-])(?:[\w-]{{1,63}}\.){{1,8}}{_TOP_LEVEL}{_PATH}(?![\w@])", _address),
    _words(r"(?<!\w)@(?=\w)", lambda match: "at "),
    _words(
        r"(?<![\w.])(?:\+\d{1,3}[ .-]?(?:\(\d{1,5}\)|\d{1,5})(?:[ .-]\d{2,5}){1,5}"
        r"|\(\d{3,5}\) ?\d{3,4}(?:[ .-]\d{3,5}){1,2}|\d{3}\.\d{3}\.\d{4})(?![\w-])",
        lambda match: digits(match.group()),
    ),
    _words(r"(?<![\w.])\d+(?:\.\d+){2,5}(?![\w.])(?!\.\d)", _dotted),
    _words(
        r"(?<![\w.,$£€¥:])(\d+)\.(\d*0)(?![\w.%:]|,\d)",
        lambda match: f"{match.group(1)} point {' '.join(match.group(2))}",
    ),
    _words(
        r"(?<![\w:.])(\d{1,2}) ?([AaPp])\.?[Mm]\b\.?", lambda match: f"{match.group(1)} {match.group(2).upper()}.M."
    ),
    _words(rf"(?<=\d) ?({_alternatives(_LARGE)})\b", lambda match: f" {_LARGE[match.group(1)]}"),
    _words(r"(?<![\w.])(\d{1,2})['′](\d{1,2})(?:\"|″|'')", _feet),
    _words(rf"{_NUMBER} ?({_alternatives(LENGTHS)})([23²³])(?!\w)", _area),
    _words(rf"{_NUMBER} ?({_alternatives(UNITS)})(?![\w/'’&])", _counted),
    _words(r"(?<![\w.,])(\d+\.\d+|\d+(?= )) ?s(?!\w)", lambda match: f"{match.group(1)} seconds"),
    _words(rf"(?<![\w.])(?:{_alternatives(WORDS)})(?!\w)", lambda match: WORDS[match.group()]),
    _words(r"\b(?!B2B|B2C|P2P)([A-Z]{1,2})(\d)([A-Z]?)\b", lambda match: spelt(match.group())),
)
