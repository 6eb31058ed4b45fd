"""Japanese sounds, named as Open JTalk names them, in the symbols of Kokoro's vocabulary."""

from collections.abc import Iterator, Sequence
from typing import Final

_CONSONANTS: Final = {
    "b": "b",
    "ch": "ʨ",
    "d": "d",
    "f": "ɸ",
    "g": "ɡ",
    "h": "h",
    "j": "ʥ",
    "k": "k",
    "m": "m",
    "n": "n",
    "p": "p",
    "r": "ɾ",
    "s": "s",
    "sh": "ɕ",
    "t": "t",
    "ts": "ʦ",
    "v": "v",
    "w": "β",
    "y": "j",
    "z": "ʣ",
}
_PALATAL: Final = {"n": "ɲ", "h": "ç"}
"""Those that have a symbol of their own before i and y; the others take a mark."""
_MARKED: Final = frozenset("bdfgkmprtv")
_FRONTED: Final = frozenset("ɕʥʨʦszɲçʲ")
"""After these, u is said further to the front."""
_NASALS: Final = (("m", "mbp"), ("ŋ", "kɡ"), ("ɲ", "ɲʨʥ"), ("n", "ntdɾʦʣz"))
"""What the syllabic nasal becomes, and before what (Vance 2008, The Sounds of Japanese, 5.1)."""


def kokoro(phonemes: Sequence[str]) -> str:
    """The symbols of one word; a vowel twice in a row is a long one. Raises KeyError for what is no sound."""
    found = ""
    for index, name in enumerate(phonemes):
        following = phonemes[index + 1] if index + 1 < len(phonemes) else ""
        if name in ("a", "i", "u", "e", "o", "A", "I", "U", "E", "O"):
            found += _vowel(name.lower(), found, phonemes[index - 1].lower() if index else "")
        elif name == "N":
            found += _nasal(kokoro([following, "a"]) if following and following not in "aiueoAIUEON" else "")
        elif name == "cl":
            found += "ʔ"
        else:
            found += "".join(_consonant(name, following.lower()))
    return found


def _vowel(name: str, before: str, last: str) -> str:
    if name == last:
        return "" if before.endswith("ː") else "ː"
    if name == "u":
        return "ɨ" if before and before[-1] in _FRONTED else "ɯ"
    return name


def _nasal(following: str) -> str:
    return next((nasal for nasal, before in _NASALS if following and following[0] in before), "ɴ")


def _consonant(name: str, vowel: str) -> Iterator[str]:
    if name in _CONSONANTS:
        palatal, plain = vowel == "i", name
    elif name[-1] == "y":
        palatal, plain = True, name[:-1]
    elif name[-1] == "w":
        yield _CONSONANTS[name[:-1]] + "ᵝ"
        return
    else:
        raise KeyError(name)
    if name == "z" and vowel == "u":
        yield "z"
    elif palatal and plain in _PALATAL:
        yield _PALATAL[plain]
    else:
        yield _CONSONANTS[plain]
        # Ti and di, which came with loan words, keep their plain consonant.
        if palatal and plain in _MARKED and name not in ("t", "d", "f", "v"):
            yield "ʲ"
