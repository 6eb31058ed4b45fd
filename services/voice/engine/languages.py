"""Which of an engine's languages a tag asks for.

docs/engine.md has the measurements of the languages that are spoken, and of those that were turned down.
"""

from collections.abc import Sequence
from typing import Final

from .errors import LanguageUnsupported
from .port import DEFAULT_LANGUAGE, Language

DEFAULT: Final = Language(DEFAULT_LANGUAGE)
"""What a text is in that is said to be in none."""
ENGLISH: Final = (DEFAULT,)
"""All that an engine knows that has nothing but an English reader."""


def chosen(tag: str, known: Sequence[Language]) -> Language:
    """The language that `tag` asks for.

    Case does not matter (RFC 5646, 2.1.1). A language alone ("en") means the first of its regions that is known, and
    one that is known without a region ("ja") is spoken for all of its regions ("ja-JP"). Nothing else stands for
    anything else: another region, script or variant is refused.
    Raises LanguageUnsupported with the spoken languages as `supported`, and `needs` where one must be installed.
    """
    wanted = tag.lower()
    for language in known:
        own = language.tag.lower()
        if wanted in (own, own.split("-")[0]) or _without_region(wanted) == own:
            if language.needs:
                raise _unsupported(f"{tag} is spoken once {language.needs} is installed", known, needs=language.needs)
            return language
    raise _unsupported(f"{tag} is not spoken here", known)


def spoken(known: Sequence[Language]) -> list[str]:
    """The tags of those that need nothing more."""
    return [language.tag for language in known if not language.needs]


def _without_region(tag: str) -> str:
    language, _, region = tag.partition("-")
    alone = (len(region) == 2 and region.isalpha()) or (len(region) == 3 and region.isdecimal())
    return language if alone else tag


def _unsupported(why: str, known: Sequence[Language], **details: str) -> LanguageUnsupported:
    supported = ", ".join(spoken(known))
    return LanguageUnsupported(f"{why}; spoken are: {supported or 'none'}", supported=supported, **details)
