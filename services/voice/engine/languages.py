"""The languages that are spoken: those with a reader of their own whose speech was measured to be understood.

docs/engine.md has the measurements, also of the languages that were turned down.
"""

from typing import Final

from .errors import LanguageUnsupported

SPOKEN: Final = ("en-US",)
"""Tags of BCP 47 (RFC 5646)."""


def spoken(tag: str) -> str:
    """The language, of `SPOKEN`, that a tag asks for; the first where it asks for none.

    Case does not matter. A language without a region ("en") means the first of its regions; another region than
    those spoken is not taken for one of them. Raises LanguageUnsupported.
    """
    wanted = tag.lower()
    for language in SPOKEN:
        if wanted in ("", language.lower(), language.lower().split("-")[0]):
            return language
    supported = ", ".join(SPOKEN)
    raise LanguageUnsupported(f"{tag} is not spoken here; spoken are: {supported}", supported=supported)
