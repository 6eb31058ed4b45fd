"""Consents: what a person agreed to, when, for which recordings, and whether they have taken it back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.mesh import errors
from services.mesh.pages import Page
from services.voice.jobs import Failure

REVOKED = Failure("CONSENT_REVOKED", "the person has revoked their consent")
"""What becomes of the learning and of the speeches of a voice."""


@dataclass(frozen=True)
class Given:
    """A person's agreement to having their voice learned, as the platform is told of it."""

    statement: str
    given_by: str
    address: str = ""
    """The network address from which it is told."""


@dataclass(frozen=True)
class Consent:
    """A person's agreement, as it is kept: it never changes."""

    voice: str
    """Id of the voice it is for, which may be gone."""
    owner: str
    """The user who told of it."""
    statement: str
    given_by: str
    given_at: datetime
    recordings: list[str]
    """Resource names, `files/{file}`; none of consents from before they were kept."""
    digests: list[str]
    """SHA-256 of the bytes of each, hexadecimal."""
    address: str
    revoked_at: datetime | None

    @property
    def id(self) -> str:
        """By what consents are listed: as their voices, newest first."""
        return self.voice

    @property
    def name(self) -> str:
        """Resource name."""
        return f"voices/{self.voice}/consent"


class ConsentStore(Protocol):
    """Where consents are kept."""

    async def get(self, owner: str, voice: str) -> Consent | None:
        """The consent that this user gave for a voice."""

    async def list(self, owner: str, page: Page) -> Sequence[Consent]:
        """One consent more than the page holds, newest first."""

    async def revoke(self, owner: str, voice: str, address: str) -> Consent | None:
        """The consent, revoked, with what was learned removed and all work with the voice ended; None if there is
        none."""


async def get(owner: str, voice: str, *, store: ConsentStore) -> Consent:
    """The consent that this user gave for a voice.

    Raises:
        NotFound: there is none (CONSENT_NOT_FOUND).
    """
    return _found(await store.get(owner, voice), voice)


async def revoke(owner: str, voice: str, address: str, *, store: ConsentStore) -> Consent:
    """Takes a consent back, for good; `address` is from where.

    Raises:
        NotFound: there is none (CONSENT_NOT_FOUND).
    """
    return _found(await store.revoke(owner, voice, address), voice)


def refuse(consent: Consent) -> None:
    """Lets a consent pass that has not been revoked.

    Raises:
        FailedPrecondition: it has (CONSENT_REVOKED).
    """
    if consent.revoked_at is not None:
        raise errors.FailedPrecondition("CONSENT_REVOKED", f"the consent to voices/{consent.voice} has been revoked")


def _found(consent: Consent | None, voice: str) -> Consent:
    if consent is None:
        name = f"voices/{voice}/consent"
        raise errors.NotFound("CONSENT_NOT_FOUND", f"there is no {name}", name=name)
    return consent
