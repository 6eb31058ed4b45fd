"""`say-as` of SSML (W3C Note of 26 May 2005): text rewritten so that it is read in only one way."""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final

from .readings import digits, spelt

_CURRENCIES: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥", "INR": "₹", "KRW": "₩"}
_AMOUNT: Final = r"\d{1,15}(?:,\d{3})*(?:\.\d{1,2})?"
_DATE_FORMATS: Final = frozenset({"", "mdy", "dmy", "ymd", "md", "dm", "ym", "my", "y", "m", "d"})


def read(text: str, kind: str, form: str) -> str:
    """The text as it is to be read. Raises KeyError for an unknown kind, ValueError where the text is not of it."""
    return _KINDS[kind](text, form)


def _cardinal(text: str, form: str) -> str:
    number = re.fullmatch(r"([+-]?)(\d{1,15}(?:,\d{3})*)(\.\d{1,15})?", text)
    if number is None:
        raise ValueError("digits are expected")
    sign, whole, fraction = number.groups()
    # With its commas, no number is taken for a year.
    return f"{sign}{int(whole.replace(',', '')):,}{fraction or ''}"


def _ordinal(text: str, form: str) -> str:
    number = re.fullmatch(r"(\d{1,12}(?:,\d{3})*)(?:st|nd|rd|th)?", text)
    if number is None:
        raise ValueError("digits are expected")
    value = int(number.group(1).replace(",", ""))
    teens = 10 <= value % 100 <= 20
    return f"{value:,}{'th' if teens else {1: 'st', 2: 'nd', 3: 'rd'}.get(value % 10, 'th')}"


def _date(text: str, form: str) -> str:
    if form not in _DATE_FORMATS:
        raise ValueError(f"the format is one of {', '.join(sorted(_DATE_FORMATS - {''}))}")
    parts = re.findall(r"\d+", text)
    if re.search(r"[^\d\s./-]", text) or not parts:
        if re.search(r"[A-Za-z]{3}", text):
            return text
        raise ValueError("numbers or the name of a month are expected")
    order = form or ("ymd" if len(parts[0]) == 4 else "mdy")
    if len(parts) == 1 and len(order) > 1 and len(parts[0]) == sum(4 if part == "y" else 2 for part in order):
        parts = re.findall("".join(r"(\d{4})" if part == "y" else r"(\d{2})" for part in order), parts[0])[0]
    if len(parts) != len(order):
        raise ValueError(f"{len(order)} numbers are expected")
    given = {part: int(number) for part, number in zip(order, parts, strict=True)}
    day = date(given.get("y", 2000) or 1, given.get("m", 1), given.get("d", 1))
    month = f"{day:%B}" if "m" in given else ""
    numbered = _ordinal(str(day.day), "") if "d" in given else ""
    if "d" in given and "m" not in given:
        return f"the {numbered}"
    first = " ".join(part for part in (month, numbered) if part)
    return ", ".join(part for part in (first, str(given["y"]) if "y" in given else "") if part)


def _time(text: str, form: str) -> str:
    if form not in ("", "hms12", "hms24"):
        raise ValueError("the format is hms12 or hms24")
    time = re.fullmatch(r"(\d{1,2})(?::(\d{2}))?(?::(\d{2}))?\s*([AaPp])?(?:\.?[Mm]\.?)?", text)
    if time is None or int(time.group(1)) > 24 or int(time.group(2) or 0) > 59 or int(time.group(3) or 0) > 59:
        raise ValueError("a time of day such as 3:30 pm is expected")
    hours, minutes, seconds, half = time.groups()
    half = f" {half.upper()}.M." if half else ""
    return f"{hours}:{minutes or '00'}{':' + seconds if seconds else ''}{half}"


def _telephone(text: str, form: str) -> str:
    if not re.fullmatch(r"\+?[\d\s().\-/x]{2,40}", text):
        raise ValueError("digits in groups are expected")
    return digits(text)


def _currency(text: str, form: str) -> str:
    amount = re.fullmatch(rf"([$£€¥₹₩])\s?({_AMOUNT})", text)
    if amount is not None:
        return f"{amount.group(1)}{amount.group(2)}"
    named = re.fullmatch(rf"([A-Z]{{3}})\s?({_AMOUNT})|({_AMOUNT})\s?([A-Z]{{3}})", text)
    code = (named.group(1) or named.group(4)) if named else ""
    if named is None or code not in _CURRENCIES:
        raise ValueError(f"an amount of {', '.join(_CURRENCIES)} is expected, such as USD 45.30")
    return f"{_CURRENCIES[code]}{named.group(2) or named.group(3)}"


def _characters(text: str, form: str) -> str:
    return spelt(text)


_KINDS: Final[Mapping[str, Callable[[str, str], str]]] = {
    "characters": _characters,
    "spell-out": _characters,
    "verbatim": _characters,
    "cardinal": _cardinal,
    "number": _cardinal,
    "ordinal": _ordinal,
    "date": _date,
    "time": _time,
    "telephone": _telephone,
    "currency": _currency,
}
