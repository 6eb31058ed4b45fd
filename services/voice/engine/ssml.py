"""A subset of SSML 1.1 (W3C Recommendation, 7 September 2010): `speak`, `p`, `s`, `break`, `prosody` (rate, pitch,
volume), `say-as`, `phoneme` (IPA), `sub` and `emphasis`, which is read and has no effect. All else is refused, not
passed over. No document type is read, so that there are no entities to expand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import numpy as np
from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from . import prosody, sayas
from .errors import SsmlMalformed, SsmlUnsupported
from .ipa import kokoro
from .port import DEFAULT_LANGUAGE
from .script import Manner, Passage, Pronunciation
from .seams import Pause
from .trace import Traced

DEEPEST: Final = 32
LONGEST_BREAK_SECONDS: Final = 10.0
LONGEST_BREAKS_SECONDS: Final = 600.0
"""All breaks of a document together."""
_NAMESPACE: Final = "http://www.w3.org/2001/10/synthesis"
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
_STRENGTHS: Final = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.75, "x-strong": 1.2}
_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "speak": frozenset({"version", f"{_XML}lang", "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"}),
    "p": frozenset(),
    "s": frozenset(),
    "break": frozenset({"time", "strength"}),
    "prosody": frozenset({"rate", "pitch", "volume"}),
    "say-as": frozenset({"interpret-as", "format"}),
    "phoneme": frozenset({"alphabet", "ph"}),
    "sub": frozenset({"alias"}),
    "emphasis": frozenset({"level"}),
}
_ONLY_TEXT: Final = frozenset({"say-as", "phoneme", "sub"})
_ENGLISH: Final = frozenset({"say-as", "phoneme"})
"""What is read out in English words, or written in English sounds, has no meaning in another language."""


def parse(document: str, language: str = DEFAULT_LANGUAGE) -> tuple[list[Passage], Traced]:
    """The passages of a document, unchecked, and all the words that are read out of it, places as in the document.

    The whole document is in one language, a tag; `xml:lang` may say it again, with any region.

    Raises SsmlMalformed where it is no SSML, SsmlUnsupported where it asks for what is not of the subset; both with
    `details` that hold the `element` and the `position` in characters.
    """
    reader = _Reader(document, language)
    try:
        reader.parser.feed(document.encode())
        reader.parser.close()
    except DefusedXmlException:
        raise SsmlUnsupported(
            "a document type is not read", element="!DOCTYPE", position=str(document.find("<!DOCTYPE"))
        ) from None
    except (ParseError, UnicodeEncodeError) as error:
        position = reader.position()
        raise SsmlMalformed(
            f"the SSML is not well-formed XML at character {position}: {error}", position=str(position)
        ) from None
    return reader.passages, Traced.joined(reader.words)


@dataclass
class _Element:
    name: str
    attributes: Mapping[str, str]
    start: int
    manner: Manner
    held: list[Traced] = field(default_factory=list)


class _Reader:
    """The target of an expat parser."""

    def __init__(self, document: str, language: str) -> None:
        self.parser: Any = DefusedXMLParser(target=self, encoding="utf-8", forbid_dtd=True)
        # Each run of characters, and each reference, is told by itself, so that its place is known.
        self.parser.parser.buffer_text = False
        self._document = document
        self._language = language
        data = np.frombuffer(document.encode("utf-8", "replace"), np.uint8)
        self._characters = None if document.isascii() else np.cumsum((data & 0xC0) != 0x80)
        self._open: list[_Element] = []
        self._written: tuple[str, int] | None = None
        self._texts: list[Traced] = []
        self._fixed: list[Pronunciation] = []
        self._silence = 0.0
        self.passages: list[Passage] = []
        self.words: list[Traced] = []

    def position(self) -> int:
        """Where the parser is, in characters."""
        at = int(self.parser.parser.CurrentByteIndex)
        if at <= 0 or self._characters is None:
            return max(at, 0)
        return int(self._characters[at - 1])

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        self._settle()
        place = self.position()
        name = tag.removeprefix(f"{{{_NAMESPACE}}}")
        if name not in _ATTRIBUTES:
            raise SsmlUnsupported.at(f"<{name.rpartition('}')[2]}>", name.rpartition("}")[2], place)
        for attribute in attributes:
            if attribute not in _ATTRIBUTES[name]:
                raise SsmlUnsupported.at(f"the attribute {attribute.rpartition('}')[2]} of <{name}>", name, place)
        if (name == "speak") != (not self._open):
            raise SsmlMalformed.at("<speak> must be the root, and nothing else", name, place)
        if len(self._open) >= DEEPEST:
            raise SsmlMalformed.at(f"more than {DEEPEST} elements lie in one another", name, place)
        if self._open and (self._open[-1].name in _ONLY_TEXT or self._open[-1].name == "break"):
            raise SsmlMalformed.at(f"<{self._open[-1].name}> must hold no elements", name, place)
        self._check_language(name, attributes.get(f"{_XML}lang", self._language), place)
        manner = self._open[-1].manner if self._open else Manner()
        if name in ("break", "p", "s"):
            self.words.append(Traced.standing_for(" ", place, place))
        if name == "prosody":
            self._passage(None)
            manner = prosody.read(manner, attributes, place)
        elif name == "break":
            self._passage(self._break(attributes, place))
        elif name in ("p", "s"):
            self._passage(None)
        self._open.append(_Element(name, dict(attributes), place, manner))

    def _check_language(self, element: str, language: str, place: int) -> None:
        # Which region does not matter: the request has said it.
        if re.split("[-_]", language.lower())[0] != self._language.lower().split("-")[0]:
            raise SsmlUnsupported.at(f"the language {language} in a text in {self._language}", element, place)
        if element in _ENGLISH and self._language != DEFAULT_LANGUAGE:
            raise SsmlUnsupported.at(f"<{element}> in {self._language} (<sub> gives a reading)", element, place)

    def end(self, tag: str) -> None:
        """An element ends."""
        self._settle()
        element = self._open[-1]
        if element.name in _ONLY_TEXT:
            self._texts.append(self._read(element))
        elif element.name == "prosody":
            self._passage(None)
        elif element.name in ("p", "s"):
            self.words.append(Traced.standing_for(" ", element.start, element.start))
            self._passage(Pause.PARAGRAPH if element.name == "p" else Pause.SENTENCE)
        self._open.pop()
        if not self._open:
            self._passage(None)

    def data(self, data: str) -> None:
        """Characters."""
        self._settle()
        self._written = (data, self.position())

    def close(self) -> None:
        """The document ends."""

    def _settle(self) -> None:
        """Keeps the characters told last: now that the next thing is told, it is known where they end."""
        if self._written is None:
            return
        data, start = self._written
        self._written = None
        # A reference to & gives the character that it begins with.
        if data != "&" and self._document.startswith(data, start):
            found = Traced(data, range(start, start + len(data)), range(start + 1, start + len(data) + 1))
        else:
            found = Traced.standing_for(data, start, max(self.position(), start + 1))
        element = self._open[-1]
        if element.name == "break":
            raise SsmlMalformed.at("<break> must be empty", "break", element.start)
        if element.name in _ONLY_TEXT:
            element.held.append(found)
        else:
            self._texts.append(found)
            self.words.append(found)

    def _read(self, element: _Element) -> Traced:
        """What the content of an element is read as."""
        content = Traced.joined(element.held)
        self.words.append(content)
        if not content.text.strip():
            raise SsmlMalformed.at(f"<{element.name}> must hold text", element.name, element.start)
        start, end = content.span(0, len(content.text))
        if element.name == "sub":
            return Traced.standing_for(_needed(element, "alias"), start, end)
        if element.name == "phoneme":
            alphabet = element.attributes.get("alphabet", "ipa")
            if alphabet != "ipa":
                raise SsmlUnsupported.at(f"the alphabet {alphabet}", "phoneme", element.start)
            phonemes, unknown = kokoro(_needed(element, "ph"))
            if unknown:
                raise SsmlUnsupported.at(f"the phoneme {unknown!r}", "phoneme", element.start)
            self._fixed.append(Pronunciation(start, end, phonemes))
            return content
        kind = _needed(element, "interpret-as")
        try:
            said = sayas.read(content.text.strip(), kind, element.attributes.get("format", ""))
        except KeyError:
            raise SsmlUnsupported.at(f"interpret-as {kind!r}", "say-as", element.start) from None
        except ValueError as error:
            raise SsmlMalformed.at(
                f"{content.text.strip()[:40]!r} is no {kind}: {error}", "say-as", element.start
            ) from None
        return Traced.standing_for(said, start, end)

    def _break(self, attributes: Mapping[str, str], place: int) -> float:
        strength = attributes.get("strength", "medium")
        if strength not in _STRENGTHS:
            raise SsmlMalformed.at(f"the strength of a break is one of {', '.join(_STRENGTHS)}", "break", place)
        seconds = _STRENGTHS[strength]
        if "time" in attributes:
            time = re.fullmatch(r"\+?(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})(ms|s)", attributes["time"].strip())
            if time is None:
                raise SsmlMalformed.at("the time of a break is such as 500ms or 1.5s", "break", place)
            seconds = float(time.group(1)) * (0.001 if time.group(2) == "ms" else 1.0)
        self._silence += seconds
        if seconds > LONGEST_BREAK_SECONDS or self._silence > LONGEST_BREAKS_SECONDS:
            raise SsmlUnsupported.at(
                f"a break of more than {LONGEST_BREAK_SECONDS:g} s, or more than {LONGEST_BREAKS_SECONDS:g} s of all "
                "breaks together,",
                "break",
                place,
            )
        return seconds

    def _passage(self, pause: Pause | float | None) -> None:
        """Ends the passage that is being read, with this silence after it."""
        text = Traced.joined(self._texts)
        self._texts.clear()
        manner = self._open[-1].manner if self._open else Manner()
        if text.text.strip():
            self.passages.append(Passage(text, manner, tuple(self._fixed), pause))
        elif pause is not None:
            self._pause(pause)
        self._fixed.clear()

    def _pause(self, pause: Pause | float) -> None:
        """More silence after what was last said: breaks add up, of the natural pauses the longest counts."""
        last = self.passages[-1] if self.passages else None
        if last is None or (isinstance(last.pause, float) and isinstance(pause, float)):
            if isinstance(pause, float):
                self.passages.append(Passage(Traced("", [], []), pause=pause))
        elif isinstance(last.pause, float):
            pass
        elif last.pause is None or isinstance(pause, float) or pause.value > last.pause.value:
            self.passages[-1] = replace(last, pause=pause)


def _needed(element: _Element, attribute: str) -> str:
    value = element.attributes.get(attribute, "").strip()
    if not value:
        raise SsmlMalformed.at(f"<{element.name}> needs {attribute}", element.name, element.start)
    return value
