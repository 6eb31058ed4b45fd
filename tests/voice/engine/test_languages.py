import pytest

from services.voice.engine.errors import LanguageUnsupported
from services.voice.engine.languages import chosen, spoken
from services.voice.engine.port import Language

KNOWN = (Language("en-US"), Language("ja"), Language("xx-YY", "the extra xx"))


@pytest.mark.parametrize(
    ("tag", "language"),
    [("en", "en-US"), ("EN", "en-US"), ("en-us", "en-US"), ("ja", "ja"), ("JA-jp", "ja"), ("ja-392", "ja")],
)
def test_a_tag_means_what_is_spoken_whatever_the_case(tag: str, language: str) -> None:
    assert chosen(tag, KNOWN).tag == language


@pytest.mark.parametrize(
    "tag", ["en-GB", "ja-Latn", "ja-Latn-JP", "jam", "es-419", "fr", "e", "en-", "english", "en-US-x-private", "-us"]
)
def test_others_are_refused_with_what_is_spoken(tag: str) -> None:
    with pytest.raises(LanguageUnsupported) as raised:
        chosen(tag, KNOWN)

    assert raised.value.reason == "LANGUAGE_UNSUPPORTED"
    assert raised.value.details == {"supported": "en-US, ja"}
    assert tag in str(raised.value)


def test_what_is_not_installed_is_refused_with_how_to_get_it() -> None:
    with pytest.raises(LanguageUnsupported, match="the extra xx is installed; spoken are: en-US, ja") as raised:
        chosen("xx", KNOWN)

    assert raised.value.details == {"supported": "en-US, ja", "needs": "the extra xx"}
    assert spoken(KNOWN) == ["en-US", "ja"]
