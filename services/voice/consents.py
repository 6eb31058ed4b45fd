"""Consents: what a person agreed to, when, for which recordings, and whether they have taken it back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from services.mesh import errors, names
from services.mesh.pages import Page
from services.voice import consent_checks, phrases
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
    challenge: str = ""
    """Id of the challenge whose phrase is spoken in one of the recordings, where that is asked for."""


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
    phrase: str
    """What has to be spoken in one of the recordings; empty where that was not asked for."""
    check_name: str
    """The check that has to hear it."""
    heard_at: datetime | None
    """When it did."""
    revoked_at: datetime | None

    @property
    def id(self) -> str:
        """By what consents are listed: as their voices, newest first."""
        return self.voice

    @property
    def name(self) -> str:
        """Resource name."""
        return f"voices/{self.voice}/consent"


@dataclass(frozen=True)
class Challenge:
    """A phrase that a user is asked to have spoken, for one voice."""

    id: str
    phrase: str
    expires_at: datetime


class ConsentStore(Protocol):
    """Where consents are kept."""

    async def challenge(self, owner: str, challenge: Challenge, check: str) -> None:
        """Keeps a challenge of this user, for the check of this name."""

    async def get(self, owner: str, voice: str) -> Consent | None:
        """The consent that this user gave for a voice."""

    async def list(self, owner: str, page: Page) -> Sequence[Consent]:
        """One consent more than the page holds, newest first."""

    async def revoke(self, owner: str, voice: str, address: str) -> Consent | None:
        """The consent, revoked, with what was learned removed and all work with the voice ended; None if there is
        none."""


async def challenge(owner: str, *, check: str, seconds: float, store: ConsentStore) -> Challenge:
    """A new phrase for a user to have spoken within so many seconds; `check` is the name of what will listen.

    Raises:
        FailedPrecondition: no phrase is asked for here (CONSENT_CHECK_OFF), or nobody here can listen for one
            (CONSENT_CHECK_UNAVAILABLE).
    """
    if check == consent_checks.OFF:
        raise errors.FailedPrecondition("CONSENT_CHECK_OFF", "this platform does not ask for a spoken consent")
    await _usable(check)
    made = Challenge(names.new_id(), phrases.make(), datetime.now(UTC) + timedelta(seconds=seconds))
    await store.challenge(owner, made, check)
    return made


async def demand(given: Given, *, check: str) -> None:
    """Lets a consent pass that names a challenge, where `check` asks for one; whether it is good, the store says.

    Raises:
        FailedPrecondition: it names none (CONSENT_CHALLENGE_MISSING), or nobody here can listen for its phrase
            (CONSENT_CHECK_UNAVAILABLE).
    """
    if check == consent_checks.OFF:
        return
    await _usable(check)
    if not given.challenge:
        raise errors.FailedPrecondition(
            "CONSENT_CHALLENGE_MISSING",
            "a phrase has to be spoken in a recording: ask for one (POST /v1/consentChallenges) and name its challenge",
        )


async def _usable(check: str) -> None:
    missing = await asyncio.to_thread(consent_checks.missing, check)
    if missing:
        raise errors.FailedPrecondition(
            "CONSENT_CHECK_UNAVAILABLE", f"a consent has to be spoken, and nobody here can listen: {missing}"
        )


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
