"""Accounts: an address and a password that prove who somebody is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.auth.passwords import Passwords
from services.mesh import errors

NOBODY = "00000000-0000-0000-0000-000000000000"
"""Whose audit log has the failures to sign in to accounts that do not exist."""


@dataclass(frozen=True)
class Account:
    """A person's entry in the platform."""

    id: str
    email: str
    password: str
    """Hash of the password."""
    created_at: datetime


class AccountStore(Protocol):
    """Where accounts are kept."""

    async def add_account(self, email: str, password: str) -> Account | None:
        """The new account, or None if the address has one."""

    async def account_by_email(self, email: str) -> Account | None:
        """The account of an address."""

    async def account(self, id: str) -> Account | None:
        """The account of a user id."""

    async def note_failure(self, id: str) -> None:
        """Writes down that somebody showed a wrong password of an account, or of none (NOBODY)."""


async def register(email: str, password: str, *, store: AccountStore, passwords: Passwords) -> Account:
    """Makes an account.

    Raises:
        AlreadyExists: the address has one (EMAIL_TAKEN).
    """
    account = await store.add_account(_normal(email), await passwords.hash(password))
    if account is None:
        raise errors.AlreadyExists("EMAIL_TAKEN", "there is an account with this address")
    return account


async def authenticate(email: str, password: str, *, store: AccountStore, passwords: Passwords) -> Account:
    """The account whose address and password these are.

    Raises:
        Unauthenticated: there is none (BAD_CREDENTIALS).
    """
    account = await store.account_by_email(_normal(email))
    matches = await passwords.matches(password, account.password if account else None)
    if account is None or not matches:
        # For no account too: else the time it takes would tell which addresses have one.
        await store.note_failure(account.id if account else NOBODY)
        raise errors.Unauthenticated("BAD_CREDENTIALS", "no account has this address and this password")
    return account


async def get(id: str, *, store: AccountStore) -> Account:
    """The account of a user.

    Raises:
        NotFound: there is none (ACCOUNT_NOT_FOUND).
    """
    account = await store.account(id)
    if account is None:
        raise errors.NotFound("ACCOUNT_NOT_FOUND", "there is no such account")
    return account


def _normal(email: str) -> str:
    return email.strip().lower()
