"""The subset of SSML: what it becomes, and what is refused."""

import pytest

from services.voice.engine.assets import Assets
from services.voice.engine.errors import SsmlMalformed, SsmlUnsupported, TextEmpty, TextUnsupportedScript
from services.voice.engine.ipa import SYMBOLS, kokoro
from services.voice.engine.port import Markup
from services.voice.engine.script import Manner, Script, read
from services.voice.engine.seams import Pause


def script(inner: str) -> Script:
    return read(f"<speak>{inner}</speak>", Markup.SSML)


def texts(inner: str) -> list[str]:
    return [passage.text.text for passage in script(inner).passages]


def test_text_is_cut_at_breaks_and_where_the_manner_changes() -> None:
    found = script('One <break time="500ms"/>two <prosody rate="150%" pitch="-2st" volume="+3dB">three</prosody> four')

    assert [passage.text.text for passage in found.passages] == ["One", "two", "three", "four"]
    assert [passage.pause for passage in found.passages] == [0.5, None, None, None]
    assert found.passages[2].manner == Manner(1.5, -2, 3)
    assert found.passages[3].manner == Manner()


def test_manners_add_up() -> None:
    (passage,) = script('<prosody rate="slow"><prosody rate="1.2" pitch="high">a</prosody></prosody>').passages

    assert passage.manner == Manner(pytest.approx(0.9), 3, 0)


def test_paragraphs_and_sentences_pause() -> None:
    found = script("<p><s>One</s><s>two</s></p><p>three</p>").passages

    assert [passage.pause for passage in found] == [Pause.SENTENCE, Pause.PARAGRAPH, Pause.PARAGRAPH]


def test_breaks_add_up_and_outrank_natural_pauses() -> None:
    found = script('<break time="1s"/><p>One</p><break time="2s"/><break strength="none"/>two')

    assert [(passage.text.text, passage.pause) for passage in found.passages] == [
        ("", 1.0),
        ("One", 2.0),
        ("", 0.0),
        ("two", None),
    ]


@pytest.mark.parametrize(
    ("kind", "form", "written", "said"),
    [
        ("characters", "", "aB3-x", "A. B 3 dash X"),
        ("spell-out", "", "NASA", "N A. S A."),
        ("cardinal", "", "1984", "1,984"),
        ("cardinal", "", "-2.50", "-2.50"),
        ("ordinal", "", "1221", "1,221st"),
        ("ordinal", "", "12", "12th"),
        ("date", "dmy", "01/02/2024", "February 1st, 2024"),
        ("date", "mdy", "01/02/2024", "January 2nd, 2024"),
        ("date", "", "2024-03-31", "March 31st, 2024"),
        ("date", "ymd", "20240331", "March 31st, 2024"),
        ("date", "my", "03/2024", "March, 2024"),
        ("date", "", "4 July 1776", "4 July 1776"),
        ("time", "hms12", "3:05pm", "3:05 P.M."),
        ("time", "", "14:05", "14:05"),
        ("telephone", "", "+1 (415) 555-0132", "plus 1, 4 1 5, 5 5 5, 0 1 3 2"),
        ("currency", "", "USD 45.30", "$45.30"),
        ("currency", "", "20EUR", "€20"),
    ],
)
def test_say_as(kind: str, form: str, written: str, said: str) -> None:
    with_form = f' format="{form}"' if form else ""

    assert texts(f'<say-as interpret-as="{kind}"{with_form}>{written}</say-as>') == [said]


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        ("cardinal", "many"),
        ("ordinal", "1.5"),
        ("date", "2024-02-30"),
        ("date", "someday 5"[:1]),
        ("time", "25:00"),
        ("telephone", "call me"),
        ("currency", "XYZ 5"),
    ],
)
def test_say_as_of_something_else_is_refused(kind: str, written: str) -> None:
    with pytest.raises(SsmlMalformed) as raised:
        script(f'a <say-as interpret-as="{kind}">{written}</say-as>')

    assert raised.value.details == {"element": "say-as", "position": "9"}


def test_places_are_those_of_the_document() -> None:
    document = '<speak>Zoë &amp; <sub alias="World Wide Web">WWW</sub> näh<!-- no --> <![CDATA[a<b]]> end</speak>'
    (passage,) = read(document, Markup.SSML).passages

    found = {
        word: document[slice(*passage.text.span(at, at + len(word)))]
        for word in ("Zoë", "&", "Wide", "näh", "end")
        for at in [passage.text.text.index(word)]
    }

    assert found == {"Zoë": "Zoë", "&": "&amp;", "Wide": "WWW", "näh": "näh", "end": "end"}


def test_a_phoneme_is_written_in_the_symbols_of_the_model() -> None:
    (passage,) = script('Say <phoneme alphabet="ipa" ph="təˈmeɪtoʊ">tomato</phoneme> now').passages

    assert [each.phonemes for each in passage.fixed] == ["təˈmAtO"]
    assert "tomato" in passage.text.text


@pytest.mark.parametrize(
    ("ipa", "symbols"),
    [("dʒʌdʒ", "ʤʌʤ"), ("t͡ʃɜːtʃ", "ʧɜɹʧ"), ("ˈɡoʊ.ɪŋ", "ˈɡOɪŋ"), ("red", "ɹed"), ("wɔːtɚ", "wɔtəɹ")],
)
def test_ipa_becomes_the_models_symbols(ipa: str, symbols: str) -> None:
    assert kokoro(ipa) == (symbols, "")


def test_every_symbol_is_in_the_vocabulary(assets: Assets) -> None:
    assert assets.vocabulary().keys() >= SYMBOLS


@pytest.mark.parametrize(
    ("inner", "element", "position"),
    [
        ('Hi <audio src="x"/>', "audio", 10),
        ('<voice name="x">a</voice>', "voice", 7),
        ("<mark name='a'/>a", "mark", 7),
        ('<prosody contour="(0%,+20Hz)">a</prosody>', "prosody", 7),
        ('<prosody rate="300%">a</prosody>', "prosody", 7),
        ('<prosody pitch="+20st">a</prosody>', "prosody", 7),
        ('a<break time="60s"/>', "break", 8),
        ('<phoneme alphabet="x-sampa" ph="a">a</phoneme>', "phoneme", 7),
        ('<phoneme ph="ǃa">a</phoneme>', "phoneme", 7),
        ('<say-as interpret-as="address">a</say-as>', "say-as", 7),
        ('<p xml:lang="de">a</p>', "p", 7),
    ],
)
def test_what_is_not_of_the_subset_is_refused_by_name_and_place(inner: str, element: str, position: int) -> None:
    with pytest.raises(SsmlUnsupported) as raised:
        script(inner)

    assert raised.value.reason == "SSML_UNSUPPORTED"
    assert raised.value.details == {"element": element, "position": str(position)}
    assert str(position) in str(raised.value)


@pytest.mark.parametrize(
    "document",
    [
        "",
        "plain text",
        "<speak>open",
        "<speak>a</p></speak>",
        "<p>a</p>",
        "<speak>a</speak><speak>b</speak>",
        "<speak><speak>a</speak></speak>",
        "<speak>a & b</speak>",
        "<speak>&nbsp;a</speak>",
        '<speak><break time="soon"/>a</speak>',
        '<speak><break strength="huge"/>a</speak>',
        "<speak><break>a</break></speak>",
        '<speak><prosody rate="quick">a</prosody></speak>',
        "<speak><prosody>a</prosody></speak>",
        "<speak><sub>a</sub></speak>",
        '<speak><sub alias="b"></sub></speak>',
        '<speak><sub alias="b"><s>a</s></sub></speak>',
        "<speak>" + "<emphasis>" * 40 + "a" + "</emphasis>" * 40 + "</speak>",
    ],
)
def test_what_is_no_ssml_is_refused(document: str) -> None:
    with pytest.raises(SsmlMalformed) as raised:
        read(document, Markup.SSML)

    assert raised.value.reason == "SSML_MALFORMED"
    assert raised.value.details["position"].isdigit()


def test_entities_are_never_expanded() -> None:
    bomb = '<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;">]><speak>&b;</speak>'

    with pytest.raises(SsmlUnsupported) as raised:
        read(bomb, Markup.SSML)

    assert raised.value.details["element"] == "!DOCTYPE"


def test_breaks_have_a_bound_together() -> None:
    with pytest.raises(SsmlUnsupported):
        script("a" + '<break time="10s"/>' * 61)


@pytest.mark.parametrize("inner", ["", '<break time="1s"/>', "<p>...</p>"])
def test_nothing_to_say_is_refused(inner: str) -> None:
    with pytest.raises(TextEmpty):
        script(inner)


def test_another_script_is_refused_in_an_alias_too() -> None:
    with pytest.raises(TextUnsupportedScript):
        script('<sub alias="Привет">hello</sub>')


def test_plain_text_is_no_markup() -> None:
    assert read("a <b>c</b>").passages[0].text.text == "a <b>c</b>"
