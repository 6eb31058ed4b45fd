"""Users: a profile of our own, and the account that auth has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.user.records import Changes, Profile, Records, change


@dataclass(frozen=True)
class Account:
    """What auth knows of a user."""

    email: str
    created_at: datetime


@dataclass(frozen=True)
class User:
    """A person, as they see themselves."""

    id: str
    account: Account
    profile: Profile


class Accounts(Protocol):
    """Who knows the accounts."""

    async def account(self) -> Account:
        """The caller's account.

        Raises:
            NotFound: there is none any more (USER_NOT_FOUND).
        """


async def get(id: str, *, accounts: Accounts, profiles: Records[Profile]) -> User:
    """The caller, whose id this is.

    Raises:
        NotFound: the account is gone (USER_NOT_FOUND).
    """
    account = await accounts.account()
    return User(id, account, await profiles.read(id))


async def update(id: str, changes: Changes, etag: str, *, accounts: Accounts, profiles: Records[Profile]) -> User:
    """The caller, with changes made to the profile.

    Raises:
        NotFound: the account is gone (USER_NOT_FOUND).
        Aborted: the profile has changed since it was read (ETAG_MISMATCH).
    """
    account = await accounts.account()
    return User(id, account, await change(id, changes, etag, records=profiles))
