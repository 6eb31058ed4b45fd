"""Pages of a list (AIP-158): opaque tokens that hold for one list of one owner only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cryptography.fernet import Fernet, InvalidToken

from services.mesh import errors

DEFAULT_SIZE = 50
LARGEST_SIZE = 200


@dataclass(frozen=True)
class Page:
    """Which part of a list is asked for."""

    size: int
    after: str = ""
    """The id of the last item of the page before; empty on the first page."""


class Identified(Protocol):
    """Something with an id that its list is sorted by."""

    @property
    def id(self) -> str:
        """The id."""


Item = TypeVar("Item", bound=Identified)


class PageTokens:
    """Makes and reads page tokens, encrypted so that nobody builds upon what is in them.

    `key` is 32 random bytes in URL-safe base64; every replica of a service has the same.
    """

    def __init__(self, key: str) -> None:
        self._fernet = Fernet(key)

    def page(self, size: int, token: str, *query: str) -> Page:
        """The page that a request asks for; `query` is everything the list depends on, its owner first.

        Raises:
            InvalidArgument: the token was made for another list, or by nobody (BAD_PAGE_TOKEN).
        """
        size = min(size or DEFAULT_SIZE, LARGEST_SIZE)
        if not token:
            return Page(size)
        try:
            made_for, after = json.loads(self._fernet.decrypt(token.encode()))
        except InvalidToken:
            made_for, after = None, ""
        if made_for != list(query):
            raise errors.InvalidArgument.of("BAD_PAGE_TOKEN", "page_token", "is not one that this list gave out")
        return Page(size, after)

    def token(self, after: str, *query: str) -> str:
        """The token of the page that begins after the item with the id `after`."""
        return self._fernet.encrypt(json.dumps([query, after]).encode()).decode()

    def cut(self, found: Sequence[Item], page: Page, *query: str) -> tuple[Sequence[Item], str]:
        """The page, and the token of the next (empty on the last), out of up to `page.size + 1` items found."""
        items = found[: page.size]
        more = len(found) > page.size
        return items, self.token(items[-1].id, *query) if more else ""
