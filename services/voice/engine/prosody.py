"""The attributes of `prosody` in SSML: how a passage differs from the one around it."""

import re
from collections.abc import Mapping
from typing import Final

import numpy as np

from .errors import SsmlMalformed, SsmlUnsupported
from .script import Manner

_RATES: Final = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.75}
_PITCHES: Final = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "default": 0.0, "high": 3.0, "x-high": 6.0}
_VOLUMES: Final = {"x-soft": -12.0, "soft": -6.0, "medium": 0.0, "default": 0.0, "loud": 3.0, "x-loud": 6.0}


def read(manner: Manner, attributes: Mapping[str, str], place: int) -> Manner:
    """The manner within an element that begins at this character, in another manner. Raises SsmlMalformed,
    SsmlUnsupported."""
    if not attributes:
        raise SsmlMalformed.at("<prosody> needs rate, pitch or volume", "prosody", place)
    rate = _named(attributes.get("rate"), _RATES, r"(\d{1,3}(?:\.\d{1,3})?)(%?)", "rate", "80%", place)
    if isinstance(rate, re.Match):
        rate = float(rate.group(1)) / (100 if rate.group(2) else 1)
    pitch = _named(attributes.get("pitch"), _PITCHES, r"([+-]\d{1,2}(?:\.\d{1,3})?)(st|%)", "pitch", "+2st", place)
    if isinstance(pitch, re.Match):
        amount = float(pitch.group(1))
        pitch = amount if pitch.group(2) == "st" else float(12 * np.log2(max(1 + amount / 100, 1e-3)))
    volume = _named(attributes.get("volume"), _VOLUMES, r"([+-]\d{1,2}(?:\.\d{1,3})?)dB", "volume", "-6dB", place)
    if isinstance(volume, re.Match):
        volume = float(volume.group(1))
    made = Manner(
        manner.rate * (1.0 if rate is None else rate),
        manner.semitones + (pitch or 0.0),
        manner.decibels + (volume or 0.0),
    )
    if not 0.5 <= made.rate <= 2 or not -12 <= made.semitones <= 12 or not -40 <= made.decibels <= 12:
        raise SsmlUnsupported.at(
            "prosody beyond 50 % to 200 % of rate, 12 semitones of pitch, or -40 to +12 dB of volume,", "prosody", place
        )
    return made


def _named(
    value: str | None, names: Mapping[str, float], pattern: str, what: str, such: str, place: int
) -> float | re.Match[str] | None:
    if value is None:
        return None
    if value.strip() in names:
        return names[value.strip()]
    match = re.fullmatch(pattern, value.strip())
    if match is None:
        raise SsmlMalformed.at(f"{what} is one of {', '.join(names)}, or such as {such}", "prosody", place)
    return match
