"""Rewritten text keeps its places."""

import re

import pytest

from services.voice.engine.text import checked, pieces, sentences
from services.voice.engine.trace import Cursor, Traced


def sources(written: str, made: Traced) -> list[tuple[str, str]]:
    """Each word that was made, and what it stands for."""
    return [
        (match.group(), written[slice(*made.span(match.start(), match.end()))])
        for match in re.finditer(r"\S+", made.text)
    ]


@pytest.mark.parametrize(
    ("written", "made"),
    [
        ("At 3:30 we left", "At three thirty we left"),
        ("on 4 July 1776 it", "on the fourth of July 1776 it"),
        ("it costs $2.5 million today", "it costs 2.5 million dollars today"),
    ],
)
def test_words_that_stay_keep_their_places(written: str, made: str) -> None:
    found = sources(written, Traced.of(written).rewritten(made))

    assert all(word == source for word, source in found if word in written.split())
    assert found[0] == (made.split()[0], written.split()[0])


def test_a_run_of_words_stands_for_what_it_replaced() -> None:
    written = "At 3:30 we left"

    found = sources(written, Traced.of(written).rewritten("At three thirty we left"))

    assert found[1:3] == [("three", "3:30"), ("thirty", "3:30")]


def test_a_replacement_stands_for_its_match_and_the_rest_moves() -> None:
    written = "pay 5km and go"

    made = Traced.of(written).sub(re.compile(r"(\d)km"), lambda match: f"{match.group(1)} kilometers")

    assert sources(written, made) == [("pay", "pay"), ("5", "5km"), ("kilometers", "5km"), ("and", "and"), ("go", "go")]


def test_cleaning_keeps_places_across_emoji_marks_and_long_numbers() -> None:
    written = "  Héllo 👋🏽 cafe\u0301 " + "1" * 20 + " !!!!!! naïve"

    made = checked(Traced.of(written))

    assert ("café", "cafe\u0301") in sources(written, made)
    assert ("naïve", "naïve") in sources(written, made)
    assert ("1", "1" * 20) in sources(written, made)


def test_the_pieces_of_a_text_are_found_again() -> None:
    written = 'One, two — three four.\n\nFive\nsix: seven! "Eight?" Nine—ten eleven twelve; thirteen. ' * 3
    made = checked(Traced.of(written))
    cursor = Cursor(made)

    found = [
        (piece, cursor.take(piece))
        for sentence, _ in sentences(made.text)
        for piece in pieces(sentence, fits=lambda text: len(text) <= 15)
    ]

    assert all(piece.split() == re.sub(r"—(?=\w)", "— ", taken.text).split() for piece, taken in found)
    assert found[-1][1].ends[-1] == len(written.rstrip())
