"""What the reader makes of text that its dictionaries do not expect."""

import pytest

from services.voice.engine.assets import Assets
from services.voice.engine.errors import TextUnreadable
from services.voice.engine.phonemes import Phonemes


@pytest.fixture(scope="module")
def phonemes(assets: Assets) -> Phonemes:
    return Phonemes(assets.vocabulary())


@pytest.mark.parametrize(
    "text",
    ["1" * 37, "9" * 5000, "$" + "9" * 40, "Point ①A of the list.", "All well. ①Mr.", "~İ²", "½ ⅷ ㊀", "12:34:56:78"],
)
def test_odd_text_is_read(phonemes: Phonemes, text: str) -> None:
    assert phonemes.tokens(text)


def test_a_long_number_is_read_digit_by_digit(phonemes: Phonemes) -> None:
    assert phonemes.tokens("7" * 20) == phonemes.tokens(" ".join("7" * 20))


def test_text_that_breaks_the_reader_is_the_writers_to_change(phonemes: Phonemes) -> None:
    with pytest.raises(TextUnreadable):
        phonemes.tokens("1," * 40)
