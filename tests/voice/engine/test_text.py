import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from services.voice.engine.errors import TextEmpty, TextUnsupportedScript
from services.voice.engine.text import MOST_CHARACTERS, check_text, pieces, sentences


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("Hello, world!", "Hello, world!"),
        ("  Hello \t there ", "Hello   there"),
        ("Hello 👋🏽 there 👩‍👩‍👧 ❤️ 🇩🇪", "Hello  there"),
        ("naïve café, Łukasz Nguyễn, Þór", "naïve café, Łukasz Nguyễn, Þór"),
        ("cafe\u0301", "café"),
        ("ＡＢ １２ ﬁne 𝐁old", "AB 12 ﬁne Bold".replace("ﬁ", "ﬁ")),
        ("٣ apples and ४ pears", "3 apples and 4 pears"),
        ("20°C, ½ £3.50 & 5 μm", "20°C, ½ £3.50 & 5 µm"),
        ("x² + ③ + ⑩ + ➁", "x2 + 3 + 10 + 2"),
        ("1" * 18 + " or 1,234,567,890,123,456,789", "1" * 18 + " or " + " ".join("1,234,567,890,123,456,789")),
        ("well...... !!!!! -- ok?!?!", "well... !!! -- ok?!?!"),
        ("bell\x07 and zero\u200bwidth", "bell and zerowidth"),
    ],
)
def test_text_is_cleaned(written: str, spoken: str) -> None:
    assert check_text(written) == spoken


@pytest.mark.parametrize(
    ("written", "script"),
    [
        ("Привет", "Cyrillic"),
        ("Hello мир", "Cyrillic"),
        ("你好", "Han"),
        ("こんにちは", "Hiragana"),
        ("안녕하세요", "Hangul"),
        ("مرحبا", "Arabic"),
        ("שלום", "Hebrew"),
        ("नमस्ते", "Devanagari"),
        ("Ελλάδα", "Greek"),
        ("สวัสดี", "Thai"),
    ],
)
def test_other_scripts_are_refused_by_name(written: str, script: str) -> None:
    with pytest.raises(TextUnsupportedScript) as raised:
        check_text(written)

    assert raised.value.reason == "TEXT_UNSUPPORTED_SCRIPT"
    assert raised.value.details["script"] == script
    assert script in str(raised.value)


@pytest.mark.parametrize("written", ["", "   \n\t", "...!?", "👍👍", "\u200b\u0301", "—“”"])
def test_text_with_nothing_to_say_is_refused(written: str) -> None:
    with pytest.raises(TextEmpty) as raised:
        check_text(written)

    assert raised.value.reason == "TEXT_EMPTY"


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("One. Two! Three? Four… Five", ["One.", "Two!", "Three?", "Four…", "Five"]),
        ("Dr. Smith met J. R. R. Tolkien at St. Paul's.", ["Dr. Smith met J. R. R. Tolkien at St. Paul's."]),
        ('"Stop." She stopped. (Really.) Yes', ['"Stop."', "She stopped.", "(Really.)", "Yes"]),
        ("It costs 3.50 now. It was 2.75.", ["It costs 3.50 now.", "It was 2.75."]),
        ("So did I. They left.", ["So did I.", "They left."]),
        ("broken\nline\n\nnew paragraph", ["broken line", "new paragraph"]),
    ],
)
def test_sentences_are_cut_where_people_pause(text: str, cut: list[str]) -> None:
    assert [sentence for sentence, _ in sentences(text)] == cut


def test_paragraphs_end_is_known() -> None:
    found = list(sentences("First. Second.\n\nThird."))

    assert found == [("First.", False), ("Second.", True), ("Third.", True)]


@pytest.mark.parametrize(
    "sentence",
    [
        "one two, three four five, six; seven eight nine ten eleven twelve thirteen",
        "word " * 40,
        "unbrokenunbrokenunbrokenunbrokenunbrokenunbroken",
    ],
)
def test_a_long_sentence_is_cut_until_it_fits_and_loses_nothing(sentence: str) -> None:
    cut = list(pieces(sentence, fits=lambda text: len(text) <= 20))

    assert all(len(piece) <= 20 for piece in cut)
    assert "".join(cut).replace(" ", "") == sentence.replace(" ", "")


HOSTILE = {
    "initials": "A. ",
    "titles": "Mr.\n",
    "exclamations": "a!",
    "stops apart": ".  A",
    "spaces": " ",
    "line breaks": "\n ",
    "stops": ".",
    "quotes": '"',
    "stops and quotes": '." ',
    "digits": "1",
    "commas": ", ",
    "dashes": "—",
    "letters": "a",
    "short words": "a ",
    "signs": "^ ",
    "marks out of order": "\u0301\u0323",
    "letters with marks": "e\u0301\u0323\u034f",
}
"""What takes careless searching quadratic time."""


def least_seconds(work: Callable[[], object]) -> float:
    """What the work takes when nothing disturbs it."""
    took = []
    for _ in range(3):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took)


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("end", ["", "! Bcd."])
def test_ten_times_the_text_takes_about_ten_times_as_long(unit: str, end: str) -> None:
    def read(length: int) -> object:
        checked = check_text(("A" + unit * length)[: length - len(end)] + end)
        return [list(pieces(each, fits=lambda text: len(text) <= 400)) for each, _ in sentences(checked)]

    short = least_seconds(lambda: read(10_000))
    long = least_seconds(lambda: read(100_000))

    assert long <= 30 * max(short, 0.01)


@pytest.mark.parametrize("unit", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_model_is_asked_about_few_and_short_texts(unit: str) -> None:
    asked: list[int] = []

    def fits(text: str) -> bool:
        asked.append(len(text))
        return sum(character.isalnum() for character in text) <= 400

    for sentence, _ in sentences(check_text("A" + unit * 20_000)):
        list(pieces(sentence, fits=fits))

    assert max(asked) <= MOST_CHARACTERS
    assert sum(asked) <= 20 * len(unit) * 20_000


def test_a_title_far_into_a_text_does_not_end_its_sentence() -> None:
    text = "word " * 100 + "by Dr. Jekyll (and Prof. Hyde). End."

    assert [sentence[-5:] for sentence, _ in sentences(text)] == ["yde).", "End."]


def test_clauses_are_packed_as_full_as_they_fit() -> None:
    cut = list(pieces("one, two, three, four, five, six, seven", fits=lambda text: len(text) <= 17))

    assert cut == ["one, two, three,", "four, five, six,", "seven"]


def test_checking_a_text_loads_no_model_runtime() -> None:
    program = "import sys, services.voice.engine as e; e.check_text('Hi'); print('onnxruntime' in sys.modules)"

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "False"
