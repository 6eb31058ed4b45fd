"""Checks of consent: whether the person whose voice it is has spoken a phrase that was asked of them.

Which one is used is a setting. A package brings another by naming, in the group `voicemesh.consent_checks`, a callable
without arguments that gives a `ConsentCheck`:

    [project.entry-points."voicemesh.consent_checks"]
    my-check = "my_package.checks:MyCheck"
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Final, Protocol

GROUP: Final = "voicemesh.consent_checks"
OFF: Final = "NONE"
"""The name of no check."""
DEFAULT: Final = "spoken-phrase"
_BUILT_IN: Final = EntryPoint(name=DEFAULT, value="services.voice.spoken_phrase:SpokenPhrase", group=GROUP)


class ConsentCheck(Protocol):
    """A check. It is made in the process that asks it, and asked one thing at a time."""

    def missing(self) -> str:
        """What it lacks to be able to check, for people to read; empty if nothing. It is asked for each
        voice, so it is quick."""

    def heard(self, recordings: list[bytes], phrase: str) -> bool:
        """Whether the phrase is spoken in one of the recordings, given as files. May take long; it runs in a process
        of its own, which is killed when nobody wants the answer any more."""


class CheckUnusable(Exception):
    """No installed package brings a check of this name, or it cannot be loaded."""


def find(name: str) -> EntryPoint:
    """Where the check of this name is; nothing of it is imported.

    Raises:
        CheckUnusable: nowhere, or in several places.
    """
    found = {entry.value: entry for entry in entry_points(group=GROUP, name=name)}
    if name == DEFAULT:
        found.setdefault(_BUILT_IN.value, _BUILT_IN)
    if len(found) != 1:
        raise CheckUnusable(f"{len(found)} installed packages bring a check of consent {name!r}")
    return next(iter(found.values()))


def load(name: str) -> ConsentCheck:
    """The check of this name.

    Raises:
        CheckUnusable: there is none, or it cannot be loaded.
    """
    try:
        check: ConsentCheck = find(name).load()()
    except (ImportError, AttributeError) as error:
        raise CheckUnusable(f"the check of consent {name!r} cannot be loaded: {error}") from error
    return check


def missing(name: str) -> str:
    """What the check of this name lacks to be able to check, for people to read; empty if nothing."""
    try:
        return load(name).missing()
    except CheckUnusable as error:
        return str(error)
