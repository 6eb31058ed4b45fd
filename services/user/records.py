"""Records: what a user may write of themselves, one of each kind for each user, there from first use on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from services.mesh import errors


@dataclass(frozen=True)
class Record:
    """What every kind has."""

    etag: str
    """Another one after each change."""
    updated_at: datetime


@dataclass(frozen=True)
class Profile(Record):
    """What a person says of themselves."""

    display_name: str
    bio: str


@dataclass(frozen=True)
class Preferences(Record):
    """A person's defaults."""

    default_voice: str
    language: str
    theme: str
    """`THEME_UNSPECIFIED`, `LIGHT` or `DARK`."""
    email_on_completion: bool


R_co = TypeVar("R_co", bound=Record, covariant=True)
R = TypeVar("R", bound=Record)

Changes = Mapping[str, object]
"""New values by field."""


class Records(Protocol[R_co]):
    """Where records of one kind are kept."""

    async def read(self, owner: str) -> R_co:
        """The owner's record, made if need be."""

    async def write(self, owner: str, changes: Changes, etag: str) -> R_co | None:
        """The record with the changes made; None, and nothing is changed, if it has another etag by now.

        An empty etag is any.
        """


async def change(owner: str, changes: Changes, etag: str, *, records: Records[R]) -> R:
    """The owner's record with the changes made, if it is still as it was when they read it.

    Raises:
        Aborted: it has changed since (ETAG_MISMATCH).
    """
    record = await records.write(owner, changes, etag)
    if record is None:
        raise errors.Aborted("ETAG_MISMATCH", "this has changed since you read it; read it again")
    return record


def owner_of(name: str, user: str, suffix: str = "") -> str:
    """The user that a name such as `users/me/usage` means, which only ever is the caller.

    Raises:
        NotFound: it means somebody else, or nobody (USER_NOT_FOUND).
    """
    if name not in (f"users/me{suffix}", f"users/{user}{suffix}"):
        raise errors.NotFound("USER_NOT_FOUND", f"there is no {name}", name=name)
    return user
