"""What English text comes to is the same whatever other languages are read."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from services.voice.engine import pieces, script
from services.voice.engine.assets import Assets
from services.voice.engine.phonemes import Phonemes
from services.voice.engine.port import Markup

PLAIN = (
    *(
        line.split("\t")[0]
        for line in (Path(__file__).parent / "readings.tsv").read_text().splitlines()
        if line and not line.startswith("#")
    ),
    "It was nearly midnight when she finally opened the letter from her brother, who had written it weeks before. "
    '"Why now?" she asked.\n\nNobody answered; nobody could.',
    "Mr. Smith paid $1,234.50 on 4 July 2021 at 5 p.m. — café, naïve, ½ cup, 10–20 %!!!!!! 🙂 and μm.",
    "word " * 300,
    "clause after clause, " * 60,
    "x" * 400,
    "line\none\n\n\nline two\ttabbed",
    "𝒇𝒂𝒏𝒄𝒚 ﬁ ½ ² 😀",
    "Ｆｕｌｌ　ｗｉｄｔｈ １２３",
)
MARKED = (
    '<speak>Hello <break time="300ms"/>there. <prosody rate="fast" pitch="+2st">Quick words, many of them.</prosody>'
    '<p>I say <phoneme ph="təˈmɑːtəʊ">tomato</phoneme>.</p><say-as interpret-as="characters">ABC</say-as> and '
    '<sub alias="World Wide Web">WWW</sub>.</speak>',
)
DIGEST = "508bbdf045a4e21c38ba74c3efa65c7ca060bad6a94bdf20beab24bdf38d144a"
"""Of every text's pieces, with hibari-tts 0.2.1, before there was another language."""


def come_to(found: script.Script, phonemes: Phonemes) -> Iterator[list[Any]]:
    """Tokens, places, manner and pause of each piece."""
    for piece in pieces.of(found, phonemes):
        said = piece.utterance and [
            piece.utterance.tokens,
            [[sound.first, sound.last, sound.start, sound.end] for sound in piece.utterance.sounds],
        ]
        manner = piece.manner
        yield [said, [manner.rate, manner.semitones, manner.decibels], str(piece.pause)]


def test_english_is_cut_and_read_as_it_always_was(assets: Assets) -> None:
    phonemes, found = Phonemes(assets.vocabulary()), []
    texts = [(text, Markup.PLAIN) for text in PLAIN] + [(text, Markup.SSML) for text in MARKED]
    for text, markup in texts:
        read = script.read(text, markup)
        parts = list(come_to(read, phonemes))
        whole = json.dumps([read.spoken, read.words.text, parts]).encode()
        found.append((hashlib.sha256(whole).hexdigest(), len(parts)))

    assert hashlib.sha256(json.dumps(found).encode()).hexdigest() == DIGEST


@pytest.mark.parametrize("text", ["Hello there.", "<speak>Hello there.</speak>"])
def test_english_is_what_a_text_is_in_that_says_nothing(text: str) -> None:
    markup = Markup.SSML if text.startswith("<") else Markup.PLAIN

    assert script.read(text, markup) == script.read(text, markup, "en-US")
