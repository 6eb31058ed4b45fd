"""How what is written is said: a table of ours, judged by the phonemes that come out."""

import time
from pathlib import Path

import pytest

from services.voice.engine.assets import Assets
from services.voice.engine.phonemes import Phonemes
from services.voice.engine.readings import spoken
from services.voice.engine.trace import Traced

TABLE = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parent / "readings.tsv").read_text().splitlines()
    if not line.startswith("#")
]


@pytest.fixture(scope="module")
def phonemes(assets: Assets) -> Phonemes:
    return Phonemes(assets.vocabulary())


@pytest.fixture(scope="module")
def sounds(assets: Assets, phonemes: Phonemes) -> dict[int, str]:
    """The symbols of the tokens that are heard: neither stress, nor punctuation, nor spaces."""
    return {token: symbol for symbol, token in assets.vocabulary().items() if symbol.isalpha() and symbol not in "ᵊˈˌ"}


def said(phonemes: Phonemes, sounds: dict[int, str], text: str) -> str:
    return "".join(sounds[token] for token in phonemes.tokens(text) if token in sounds).replace("ə", "")


@pytest.mark.parametrize(("written", "words"), TABLE, ids=[row[0] for row in TABLE])
def test_what_is_written_is_said_as_people_say_it(
    phonemes: Phonemes, sounds: dict[int, str], written: str, words: str
) -> None:
    heard = said(phonemes, sounds, written)

    assert heard in [said(phonemes, sounds, way) for way in words.split("|")]


def test_the_table_is_large_enough() -> None:
    assert len(TABLE) >= 120


@pytest.mark.parametrize(
    ("written", "word", "source"),
    [
        ("Call ann@example.com now.", "dot", "ann@example.com"),
        ("It sold for $3bn.", "billion", "bn"),
        ("He is 5'10\" tall.", "feet", "5'10\""),
    ],
)
def test_what_is_read_out_knows_its_place(written: str, word: str, source: str) -> None:
    read = spoken(Traced.of(written))
    at = read.text.index(word)
    start, end = read.span(at, at + len(word))

    assert written[start:end].strip() == source


def test_a_link_is_read_by_its_label_and_cannot_set_phonemes(phonemes: Phonemes) -> None:
    assert phonemes.tokens("See [docs](/hɛlO/) now.") == phonemes.tokens("See docs now.")


@pytest.mark.parametrize(
    "unit", ["1.", "a.", "a@", "http://", "www.", "1 ", "+1 ", "(1", "[a](", "A1", "1'1", "a-", "1,000", "..a", "@a."]
)
def test_hostile_text_takes_time_in_proportion(unit: str) -> None:
    def read(length: int) -> float:
        took = []
        for _ in range(3):
            started = time.process_time()
            spoken(Traced.of((unit * length)[:length]))
            took.append(time.process_time() - started)
        return min(took)

    assert read(10_000) <= 40 * max(read(1000), 0.01)
