"""Japanese text, in the phoneme tokens of Kokoro.

The reader is pyopenjtalk-plus (the front end of Open JTalk), an extra: with its dictionaries it is larger than all
else that is installed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final

from . import japanese_text, kana
from .errors import TextUnreadable
from .phonemes import MOST_TOKENS, Sound, Utterance
from .port import JAPANESE, Language, Tier
from .script import Pronunciation
from .trace import Traced
from .writings import Writing

_NUMBER: Final = re.compile(r"\d[\d.,]*")
_CURRENCIES: Final = {"¥": "円", "￥": "円", "$": "ドル", "＄": "ドル", "€": "ユーロ", "£": "ポンド", "￡": "ポンド"}
_RULES: Final[Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]]] = (
    (
        re.compile(rf"([{''.join(_CURRENCIES)}])\s?(\d[\d.,]*(?:[万億兆]|百万|十億)?)(円|ドル|ユーロ|ポンド)?"),
        lambda money: money.group(2) + (money.group(3) or _CURRENCIES[money.group(1)]),
    ),
    (
        re.compile(r"(?<!\d)(\d{4})[/-](0?[1-9]|1[0-2])[/-](0?[1-9]|[12]\d|3[01])(?!\d)"),
        lambda date: f"{date.group(1)}年{int(date.group(2))}月{int(date.group(3))}日",
    ),
    (
        re.compile(r"(?<![\d:])([01]?\d|2[0-4]):([0-5]\d)(?![\d:])"),
        lambda time: (
            f"{int(time.group(1))}時{int(time.group(2))}分" if int(time.group(2)) else f"{int(time.group(1))}時"
        ),
    ),
    (re.compile(r"(?<=\d)\s?°\s?[CＣ]?"), lambda _: "度"),
)
"""What the front end does not read by itself."""
_MARKS: Final = str.maketrans(
    {
        **dict.fromkeys("。．", "."),
        **dict.fromkeys("、，", ","),
        **dict.fromkeys("「『〝《〈【〔［", "“"),
        **dict.fromkeys("」』〟》〉】〕］", "”"),
        **dict.fromkeys("―—〜～", "—"),
        "！": "!",
        "？": "?",
        "：": ":",
        "；": ";",
        "（": "(",
        "）": ")",
    }
)
_OPENING: Final = frozenset("“(")


def language() -> Language:
    """Japanese, and what it needs where its reader is not installed."""
    needs = "" if find_spec("pyopenjtalk") else "the extra voicemesh[japanese] (make japanese)"
    # The fast tier's model has learnt English alone.
    return Language(JAPANESE, needs, frozenset({Tier.NATURAL}))


class Reader:
    """Reads Japanese aloud on paper; see `reader.Reader`. Loads its dictionaries at the first text (0.3 s, 150 MB)."""

    writing: Writing = japanese_text

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary

    def read(self, text: Traced, fixed: Sequence[Pronunciation] = ()) -> Utterance:
        """The tokens, and which of them say which stretch of the source; nothing is `fixed` in Japanese.

        Raises TextUnreadable where the dictionary knows no reading.
        """
        spoken = text
        for pattern, said in _RULES:
            spoken = spoken.sub(pattern, said)
        tokens: list[int] = []
        sounds: list[Sound] = []
        for word, symbols in self._words(spoken.text):
            found = [self._vocabulary[symbol] for symbol in symbols if symbol in self._vocabulary]
            if not found:
                continue
            space = self._vocabulary[" "]
            parted = bool(word) or symbols in _OPENING
            if parted and tokens and tokens[-1] != space and not self._opened(tokens[-1]):
                tokens.append(space)
            if word:
                sounds.append(Sound(len(tokens), len(tokens) + len(found), *spoken.span(*word)))
            tokens += found
        return Utterance(tokens, tuple(sounds))

    def fits(self, text: str) -> bool:
        """Whether the model can speak the text in one go."""
        return len(self.read(Traced.of(text)).tokens) <= MOST_TOKENS

    def _opened(self, token: int) -> bool:
        return any(token == self._vocabulary.get(mark) for mark in _OPENING)

    def _words(self, text: str) -> Iterator[tuple[tuple[int, int] | None, str]]:
        """(where in the text, the model's symbols) of each word; (None, symbols) of each mark."""
        place = 0
        for each in _reader().g2p_mapping(text):
            start, end = each["char_span"]
            # What numbers are read with beyond what is written has no place of its own.
            start, end = _whole_number(text, *((start, end) if end > start else (place, place + 1)))
            place = max(place, min(end, len(text)) - 1)
            names: Any = each["phonemes"]
            written = each["surface"]
            if names == ["unk"]:
                # A mark that lengthens a sound, and no sound before it, is nothing.
                if any(character.isalnum() and character != "ー" for character in written):
                    raise TextUnreadable(f"nobody here can read {written[:40]!r}")
            elif names and names not in (["pau"], ["sp"]):
                try:
                    yield (start, end), kana.kokoro(names)
                except KeyError as error:
                    raise TextUnreadable(f"nobody here can say {written[:40]!r}") from error
            elif names != ["sp"]:
                yield None, written.translate(_MARKS)


def _whole_number(text: str, start: int, end: int) -> tuple[int, int]:
    for number in _NUMBER.finditer(text, max(0, start - 40), min(len(text), end + 40)):
        if number.start() < end and number.end() > start:
            start, end = min(start, number.start()), max(end, number.end())
    return start, min(end, len(text))


def _reader() -> ModuleType:
    # Only here, since it is an extra, and loads its dictionaries.
    import pyopenjtalk

    module: ModuleType = pyopenjtalk
    return module
