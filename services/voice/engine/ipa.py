"""IPA as people write it, in the symbols of Kokoro's vocabulary (which are those of misaki)."""

import unicodedata
from typing import Final

SYMBOLS: Final = frozenset("AIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃʈʧʊʋʌɣɤχʎʒʔˈˌːᵻ ")
"""Those of the vocabulary that stand for sounds of speech."""
_IPA: Final = SYMBOLS - frozenset("AIOQSTWYᵊ") | {"ɝ", "ɾ"}
"""What may be asked for: the capitals are how the model writes diphthongs."""
_SEQUENCES: Final = (
    ("t͡ʃ", "ʧ"),
    ("tʃ", "ʧ"),
    ("d͡ʒ", "ʤ"),
    ("dʒ", "ʤ"),
    ("eɪ", "A"),
    ("aɪ", "I"),
    ("aʊ", "W"),
    ("oʊ", "O"),
    ("əʊ", "O"),
    ("ɔɪ", "Y"),
    ("ɝː", "ɜɹ"),
    ("ɜː", "ɜɹ"),
    ("ɝ", "ɜɹ"),
    ("ɚ", "əɹ"),
    ("iː", "i"),
    ("uː", "u"),
    ("ɑː", "ɑ"),
    ("ɔː", "ɔ"),
    ("ɾ", "T"),
)
_SAME: Final = str.maketrans({"g": "ɡ", "r": "ɹ", "'": "ˈ", ":": "ː", "ʼ": "ˈ", ".": "", "‿": "", "|": " "})


def kokoro(phonemes: str) -> tuple[str, str]:
    """(the phonemes in the model's symbols, the first symbol that it has none for, or nothing).

    American English: long vowels are those of the model, and syllable breaks and ties say nothing to it.
    """
    plain = unicodedata.normalize("NFD", phonemes.strip()).replace("c\u0327", "\u00e7")
    unknown = next((symbol for symbol in plain.replace("͡", "").translate(_SAME) if symbol not in _IPA), "")
    for written, symbol in _SEQUENCES:
        plain = plain.replace(written, symbol)
    return plain.replace("͡", "").translate(_SAME), unknown
