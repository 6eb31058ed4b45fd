import pytest

from services.voice.engine import Enrolment, KokoroEngine, japanese, japanese_text, script, whole
from services.voice.engine.errors import (
    LanguageUnsupported,
    SsmlUnsupported,
    TextEmpty,
    TextUnreadable,
    TextUnsupportedScript,
    TierUnsupported,
)
from services.voice.engine.ipa import SYMBOLS
from services.voice.engine.kana import kokoro
from services.voice.engine.port import JAPANESE, Markup, Tier
from services.voice.engine.trace import Traced

VOCABULARY = {symbol: n + 1 for n, symbol in enumerate(sorted(SYMBOLS | frozenset("ʣʥʦʨᵝʲ.,!?…—“”()")))}
installed = pytest.mark.skipif(bool(japanese.language().needs), reason=f"needs {japanese.language().needs}")


def read(text: str) -> list[tuple[str, str]]:
    """Each stretch that is said, and the symbols that say it."""
    symbols = {number: symbol for symbol, number in VOCABULARY.items()}
    said = japanese.Reader(VOCABULARY).read(Traced.of(text))
    return [
        (text[sound.start : sound.end], "".join(symbols[token] for token in said.tokens[sound.first : sound.last]))
        for sound in said.sounds
    ]


@pytest.mark.parametrize(
    ("sounds", "symbols"),
    [
        ("t o o ky o o", "toːkʲoː"),
        ("g i N k o o", "ɡʲiŋkoː"),
        ("s a N b o N", "samboɴ"),
        ("sh i N n e N", "ɕinneɴ"),
        ("ts U k a cl t a", "ʦɨkaʔta"),
        ("h i ky a k u", "çikʲakɯ"),
        ("kw o o k u", "kᵝoːkɯ"),
        ("t i i", "tiː"),
        ("m i z u u m i", "mʲizɨːmʲi"),
    ],
)
def test_sounds_are_written_in_the_models_symbols(sounds: str, symbols: str) -> None:
    assert kokoro(sounds.split()) == symbols


def test_sentences_end_outside_brackets_only() -> None:
    text = "雨だ。「行こう。」と彼は言った！？\n「はい。」「いいえ。」\n\n終わり"

    assert list(japanese_text.sentences(text)) == [
        ("雨だ。", False),
        ("「行こう。」と彼は言った！？", False),
        ("「はい。」", False),
        ("「いいえ。」", True),
        ("終わり", True),
    ]


@pytest.mark.parametrize("text", ["「" * 5000, "。" * 5000, "、" * 5000, "あ" * 5000, "「あ。" * 2000])
def test_whatever_the_text_nothing_of_it_is_lost(text: str) -> None:
    found = "".join(sentence for sentence, _ in japanese_text.sentences(text))
    parts = list(japanese_text.pieces(text, fits=lambda part: len(part) <= 50))

    assert found == "".join(parts) == text
    assert max(map(len, parts)) <= 50


@installed
def test_what_is_said_is_known_by_its_place() -> None:
    assert read("本は¥1,980です。") == [
        ("本", "hoɴ"),
        ("は", "βa"),
        *(("¥1,980", symbols) for symbols in ("seɴ", "kʲɨː", "çakɯ", "haʨi", "ʥɨː", "eɴ")),
        ("です", "desɨ"),
    ]


@installed
@pytest.mark.parametrize(
    ("written", "like"),
    [
        ("2026/11/25", "2026年11月25日"),
        ("2026-1-05", "2026年1月5日"),
        ("午後3:30に", "午後3時30分に"),
        ("8:00から", "8時から"),
        ("25°C", "25度"),
        ("￡5", "5ポンド"),
        ("$3万", "3万ドル"),
        ("¥100円", "100円"),
    ],
)
def test_what_is_written_short_is_said_as_people_say_it(written: str, like: str) -> None:
    assert "".join(said for _, said in read(written)) == "".join(said for _, said in read(like))


@installed
@pytest.mark.parametrize("text", ["墸", "山の妛です"])
def test_characters_without_a_reading_are_refused(text: str) -> None:
    with pytest.raises(TextUnreadable):
        read(text)


@installed
@pytest.mark.parametrize("text", ["ーーーー", "々", "…", "※☆", "ッッッ", "んーーー", "A" * 300, "1" * 18, "ー" * 3000])
def test_odd_text_is_read_or_passed_over(text: str) -> None:
    japanese.Reader(VOCABULARY).read(Traced.of(text))


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("ﾊﾝｶｸ､ｶﾞｷﾞﾊﾟ｡", "ハンカク、ガギパ。"),
        ("ｱｰﾄ", "アート"),
        ("人々のコーヒー、いすゞ、ヶ月、〆切、〇。", "人々のコーヒー、いすゞ、ヶ月、〆切、〇。"),
        ("Ｖｏｉｃｅ　１２３㎏㈱", "Voice 123kg(株)"),
        ("か\u3099", "が"),
        ("😀やった！\u200d♪", "やった！"),
        ("𠮟る髙﨑剝", "𠮟る髙﨑剝"),
        ("⼀", "一"),
        ("25℃", "25°C"),
        ("「はい」・『いいえ』〜？", "「はい」・『いいえ』〜？"),
    ],
)
def test_japanese_writing_is_kept(written: str, spoken: str) -> None:
    assert script.read(written, language=JAPANESE).spoken == spoken


@pytest.mark.parametrize(
    ("text", "language", "script_name"),
    [
        ("これはПривет", JAPANESE, "Cyrillic"),
        ("안녕하세요", JAPANESE, "Hangul"),
        ("我们去", JAPANESE, "Han"),
        ("Hello こんにちは", "en-US", "Hiragana"),
        ("カ", "en-US", "Katakana"),
    ],
)
def test_letters_of_another_script_are_refused(text: str, language: str, script_name: str) -> None:
    with pytest.raises(TextUnsupportedScript) as raised:
        script.read(text, language=language)

    assert raised.value.details["script"] == script_name


@pytest.mark.parametrize("text", ["", "。、！", "😀"])
def test_text_without_words_is_refused(text: str) -> None:
    with pytest.raises(TextEmpty):
        script.read(text, language=JAPANESE)


def test_half_width_kana_know_their_places() -> None:
    cleaned = japanese_text.cleaned(Traced.of("ｶﾞﾑ"))

    assert [cleaned.span(n, n + 1) for n in range(2)] == [(0, 2), (2, 3)]


@pytest.mark.parametrize(
    ("ssml", "element"),
    [
        ('<speak><phoneme ph="təˈmɑːtəʊ">トマト</phoneme></speak>', "phoneme"),
        ('<speak><say-as interpret-as="characters">ABC</say-as></speak>', "say-as"),
        ('<speak xml:lang="en-US">Hello</speak>', "speak"),
        ('<speak><p xml:lang="fr">です</p></speak>', "p"),
    ],
)
def test_ssml_that_has_no_meaning_in_japanese_is_refused(ssml: str, element: str) -> None:
    with pytest.raises(SsmlUnsupported, match="not supported") as raised:
        script.read(ssml, Markup.SSML, JAPANESE)

    assert raised.value.details["element"] == element


def test_other_ssml_is_read_in_japanese() -> None:
    ssml = (
        '<speak xml:lang="ja"><s>明日は<sub alias="ブイエム">VM</sub>です。</s><break time="1s"/>'
        '<prosody rate="fast">はい</prosody></speak>'
    )
    found = script.read(ssml, Markup.SSML, JAPANESE)

    assert found.spoken == "明日はブイエムです。はい"
    assert [passage.pause for passage in found.passages] == [1.0, None]
    with pytest.raises(SsmlUnsupported, match="the language ja"):
        script.read(ssml, Markup.SSML)


@installed
def test_japanese_is_spoken_and_every_word_has_its_time(engine: KokoroEngine, enrolment: Enrolment) -> None:
    text = "今朝は早く起きて、川の近くを散歩しました。とても気持ちがよかったです。"
    chunks = list(engine.speak(enrolment.artefact, text, language="ja"))
    words = [word for chunk in chunks for word in chunk.words]

    assert len(chunks) == 3
    assert "".join(text[word.start : word.end] for word in words) == text.replace("、", "").replace("。", "")
    assert (text[words[0].start : words[0].end], text[words[5].start : words[5].end]) == ("今朝", "川")
    for chunk in chunks:
        ends = [0.0, *(word.end_seconds for word in chunk.words)]
        assert all(
            start <= word.start_seconds < word.end_seconds for start, word in zip(ends, chunk.words, strict=False)
        )
    assert 3 < whole(chunks).size / engine.sample_rate < 9


@installed
def test_japanese_is_spoken_at_the_natural_tier_alone(engine: KokoroEngine, enrolment: Enrolment) -> None:
    with pytest.raises(TierUnsupported, match="ja-JP at the tier FAST"):
        engine.speak(enrolment.artefact, "はい。", language=JAPANESE, tier=Tier.FAST)


def test_without_its_reader_japanese_is_refused_saying_what_it_needs(
    engine: KokoroEngine, enrolment: Enrolment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(japanese, "find_spec", lambda name: None)
    monkeypatch.setattr(engine, "languages", (engine.languages[0], japanese.language()))

    with pytest.raises(LanguageUnsupported, match="make japanese") as raised:
        engine.speak(enrolment.artefact, "はい。", language=JAPANESE)

    assert raised.value.details["supported"] == "en-US"
