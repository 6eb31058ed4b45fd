import pytest

from services.voice.engine.errors import LanguageUnsupported
from services.voice.engine.languages import SPOKEN, spoken


@pytest.mark.parametrize("tag", ["", "en", "EN", "en-US", "en-us"])
def test_american_english_is_spoken_whatever_the_case(tag: str) -> None:
    assert spoken(tag) == "en-US"


@pytest.mark.parametrize("tag", ["en-GB", "ja", "ja-JP", "es-419", "fr", "e", "en-", "english", "en-US-x-private"])
def test_others_are_refused_with_what_is_spoken(tag: str) -> None:
    with pytest.raises(LanguageUnsupported) as raised:
        spoken(tag)

    assert raised.value.reason == "LANGUAGE_UNSUPPORTED"
    assert raised.value.details["supported"] == ", ".join(SPOKEN)
    assert tag in str(raised.value)
